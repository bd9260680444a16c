import type { ServiceView, WorkerView } from "../client/service-schema.ts";
import type { Context } from "./context.ts";
import { paint } from "./format.ts";
import { readyOf } from "./service-progress.ts";

/** Shown of a revision that does not get ready. */
const shownLogLines = 10;
/** Looked through for them: other revisions write to the same log. */
const readLogLines = 1000;

/** Why a service or a worker is not ready, with the last lines that its newest revision has written. */
export async function explainFailure(
	context: Context,
	kind: "services" | "workers",
	{ metadata: { name, namespace }, status }: ServiceView | WorkerView,
): Promise<void> {
	const { conditions, latestCreatedRevisionName: failed = name, latestReadyRevisionName: serving } = status;
	const { reason = "", message = "" } = readyOf(conditions) ?? {};
	const red = (line: string) => paint(context.err.isTTY === true && context.color, "red", line);
	context.err.write(`${red("slipway:")} ${failed} is not ready: ${[reason, message].filter(Boolean).join(": ")}\n`);
	const { workloads } = context.client();
	const lines = await Array.fromAsync(workloads.logs(kind, namespace, name, { limit: readLogLines }));
	const own = lines.filter(({ stream }) => stream.startsWith(`${failed}/`)).slice(-shownLogLines);
	for (const { message } of own) context.err.write(`  ${message}\n`);
	if (serving !== undefined && serving !== failed)
		context.err.write(`${serving} goes on ${kind === "services" ? "serving" : "running"}.\n`);
	const where = namespace === "default" ? "" : ` --namespace ${namespace}`;
	context.err.write(`Its log: slipway ${kind.slice(0, -1)} logs ${name}${where}\n`);
}
