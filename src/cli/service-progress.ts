import type { ConditionView, ServiceStreamLine, ServiceView } from "../client/service-schema.ts";
import type { Context } from "./context.ts";
import { DeploymentLines } from "./deployment-progress.ts";
import { follow } from "./follow.ts";
import { paint } from "./format.ts";

type WatchLine = Exclude<ServiceStreamLine, { type: "problem" }>;

const colors = { True: "green", False: "red", Unknown: "yellow" } as const;

export function readyOf(conditions: readonly ConditionView[], type = "Ready"): ConditionView | undefined {
	return conditions.find((condition) => condition.type === type);
}

/** `Ready`, `not ready: RevisionFailed`, `deploying` */
export function formatState(condition: ConditionView | undefined, color: boolean): string {
	if (!condition || condition.status === "Unknown") return paint(color, "yellow", condition?.reason ?? "Deploying");
	if (condition.status === "True") return paint(color, "green", condition.type);
	return paint(color, "red", condition.reason ?? "Failed");
}

/** One line for each condition whenever it is another one than it was. */
export class ConditionLines {
	readonly #seen = new Map<string, string>();
	readonly #color: boolean;

	constructor(color: boolean) {
		this.#color = color;
	}

	changes(conditions: readonly ConditionView[]): string[] {
		// The whole after its parts.
		const ordered = conditions.toSorted((a, b) => Number(a.type === "Ready") - Number(b.type === "Ready"));
		return ordered.flatMap((condition) => {
			const { type, status, reason = "", message = "" } = condition;
			const now = `${status} ${reason} ${message}`;
			if (this.#seen.get(type) === now) return [];
			this.#seen.set(type, now);
			const state = status === "True" ? "yes" : status === "False" ? "no" : "waiting";
			const why = [reason, message].filter((part) => part !== "").join(": ");
			return [`${type.padEnd(20)} ${paint(this.#color, colors[status], state)}${why ? `  ${why}` : ""}`];
		});
	}
}

/** Its newest revision is ready, and gets its traffic bit by bit: that goes on without us. */
function isSettled(ready: ConditionView | undefined): boolean {
	return ready !== undefined && (ready.status !== "Unknown" || ready.reason === "RolloutInProgress");
}

/** Follows a service until this generation of it is ready, being rolled out, or has failed, and tells each step on standard error. */
export async function untilReady(context: Context, applied: ServiceView): Promise<ServiceView> {
	const { namespace, name, generation } = applied.metadata;
	const { workloads } = context.client();
	const lines = new ConditionLines(context.err.isTTY === true && context.color);
	const left = new AbortController();
	using deployment = new DeploymentLines(context.err);
	let isLogged = false;
	const take = (line: WatchLine): ServiceView | undefined => {
		if (line.type === "activity") deployment.draw();
		if (line.type === "progress") {
			deployment.update(line);
			if (line.stage === "start" && !isLogged) {
				isLogged = true;
				void followLog(context, applied, { revision: line.revision, deployment, signal: left.signal });
			}
		}
		if (line.type !== "service" || line.service.status.observedGeneration < generation) return undefined;
		const { conditions } = line.service.status;
		for (const change of lines.changes(conditions)) deployment.print(change);
		return isSettled(readyOf(conditions)) ? line.service : undefined;
	};
	try {
		return await follow({
			open: (signal) => workloads.watchService(namespace, name, signal),
			take,
			check: () => workloads.service(namespace, name),
			what: `service '${name}' was being deployed`,
			later: `slipway service get ${name}`,
		});
	} finally {
		left.abort();
	}
}

/** An ornament: when the log can't be read, the deployment is watched without it. */
async function followLog(
	context: Context,
	{ metadata: { namespace, name } }: ServiceView,
	{ revision, deployment, signal }: { revision: string; deployment: DeploymentLines; signal: AbortSignal },
): Promise<void> {
	try {
		const { workloads } = context.client();
		for await (const { stream, message } of workloads.logs("services", namespace, name, {
			follow: true,
			limit: 100,
			signal,
		}))
			if (stream.startsWith(`${revision}/`)) deployment.log(message);
	} catch {
		deployment.log("");
	}
}
