/** Verbs that services, jobs, workers and routes have alike. */
import { formatDuration } from "./format.ts";
import { logOptions, printLogs } from "./logs.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export function workloadLogs(kind: "services" | "jobs" | "workers", noun: string, stream: string): Verb {
	const { stream: streamOption, ...options } = logOptions;
	return {
		usage: `${noun} logs NAME [-f] [--since 5m] [--limit 1000] [--namespace NAME]`,
		summary: `Show a ${noun}'s log, oldest line first`,
		details: `Streams are ${stream}.`,
		positionals: [1, 1],
		// -n is the number of lines, as in `slipway logs`.
		options: {
			...options,
			stream: { ...streamOption, description: "Of one stream only" },
			namespace: { type: "string", value: "NAME", description: "Namespace (default)" },
		},
		examples: [[`slipway ${noun} logs NAME -f`, "as they come"]],
		run: (call) =>
			printLogs(call, (options) =>
				call.context.client().workloads.logs(kind, namespaceOf(call), call.positionals[0] ?? "", options),
			),
	};
}

export interface Removal {
	usage: string;
	summary: string;
	example: string;
	remove: (
		client: ReturnType<Parameters<Verb["run"]>[0]["context"]["client"]>,
		namespace: string,
		name: string,
	) => Promise<void>;
	/** False for what has no namespace. */
	namespaced?: boolean;
}

export function removal({ usage, summary, example, remove, namespaced = true }: Removal): Verb {
	return {
		usage,
		summary,
		positionals: [1, Number.POSITIVE_INFINITY],
		options: { ...(namespaced && namespaceOption), ...jsonOption },
		examples: [[example, ""]],
		run: async (call) => {
			const { context, values, positionals } = call;
			const client = context.client();
			for (const name of positionals) {
				await remove(client, namespaceOf(call), name);
				if (!values.json) context.print(name);
			}
			if (values.json) context.printJson({ deleted: positionals });
			return exitCodes.ok;
		},
	};
}

/** `5m 3s ago` */
export function ago(time: string | undefined): string {
	return time === undefined ? "" : `${formatDuration(Date.now() - Date.parse(time))} ago`;
}

/** What is shown of a container's image: a digest cut short. */
export function shortImage(image: string | undefined): string {
	return (image ?? "").replace(/@(sha256:[0-9a-f]{12})[0-9a-f]+$/, "@$1");
}
