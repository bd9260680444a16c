/** Which parts of the platform a daemon has, asked of the daemon itself. */

import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import type { Feature } from "./cases.ts";
import { TestFunction } from "./function.ts";

/** `imageUri`: a function that answers `{"do":"echo"}` and `{"do":"context"}`. */
export async function featuresOf(daemon: LocalDaemon, imageUri: string): Promise<Set<Feature>> {
	using client = new FunctionClient(daemon);
	const features = new Set<Feature>();
	const settings = { MemorySize: 1024, LoggingConfig: { LogFormat: "JSON" as const } };
	const f = await TestFunction.create(client, "features", imageUri, settings);
	const streamed = await f.stream({ do: "echo", value: 1 }).catch((error: Error) => {
		// The daemon of a version without the operation knows no such route.
		if (!/UnknownOperation|NotFound|not found|NotImplemented/i.test(`${error.name} ${error.message}`)) throw error;
	});
	if (streamed !== undefined) features.add("streaming");
	const { text, error, log } = await f.invoke({ do: "context" });
	if (error !== undefined) throw new Error(`The function that asks for the platform's features fails: ${text}\n${log}`);
	const { environment } = JSON.parse(text);
	if (environment.AWS_LAMBDA_LOG_FORMAT === "JSON") features.add("log formats");
	return features;
}
