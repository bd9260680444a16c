import { z } from "zod";
import {
	changeSparesSchema,
	createFunctionSchema,
	type FunctionView,
	functionNameSchema,
} from "../../client/schema.ts";
import type { FunctionRecord } from "../../core/function/function.ts";
import { type ColdStart, type ColdStartStage, serverTiming, stageTotals } from "../../core/invocation/cold-start.ts";
import type { InvocationResult } from "../../core/invocation/invocation.ts";
import type { FunctionUsage } from "../../engine/dispatch/meter.ts";
import { traceIdOf } from "../trace-id.ts";
import { readBody } from "./body.ts";
import type { ApiDeps } from "./ports.ts";
import { type Call, type Route, route } from "./route.ts";

/** Lambda quota "Invocation payload": 6 MB for synchronous calls, which AWS counts as 6,291,556 bytes on the wire and 6,291,456 of payload. */
const maxPayloadBytes = 6 * 1024 * 1024;

const params = { name: functionNameSchema };
const pageQuery = z.strictObject({
	after: z.string().max(64).optional().describe("Name that the page before ended with"),
	limit: z.coerce.number().int().min(1).max(1000).default(100),
});
const invokeQuery = z.strictObject({
	qualifier: z
		.string()
		.regex(/^(\$LATEST|[a-zA-Z0-9-_]{1,128})$/)
		.optional()
		.describe("Version or alias; $LATEST without"),
	tail: z.stringbool().default(false).describe("Return the last 4 KB of the log"),
});

export function functionRoutes(deps: ApiDeps): Route[] {
	const { functions } = deps;
	const view = (record: FunctionRecord) => toView(record, deps);
	return [
		route({
			id: "listFunctions",
			method: "GET",
			path: "/functions",
			summary: "List functions by name",
			query: pageQuery,
			answer: { kind: "json", status: 200, component: "FunctionList" },
			handle: async ({ query }) => {
				// One more than asked for tells whether there is a next page.
				const records = functions.list({ ...query, limit: query.limit + 1 });
				const page = records.slice(0, query.limit);
				return { functions: page.map(view), next: records.length > page.length ? page.at(-1)?.name : undefined };
			},
		}),
		route({
			id: "createFunction",
			method: "POST",
			path: "/functions",
			summary: "Create a function; it is Pending until its image is ready",
			body: { kind: "json", component: "CreateFunction" },
			input: createFunctionSchema,
			answer: { kind: "json", status: 201, component: "Function" },
			handle: async ({ input: { image, ...input } }) =>
				view(await functions.create({ role: deps.defaultRole, ...input, imageUri: image })),
		}),
		route({
			id: "getFunction",
			method: "GET",
			path: "/functions/{name}",
			summary: "One function with its configuration and state",
			params,
			answer: { kind: "json", status: 200, component: "Function" },
			handle: async ({ params }) => view(functions.get(params.name!)),
		}),
		route({
			id: "deleteFunction",
			method: "DELETE",
			path: "/functions/{name}",
			summary: "Delete a function; events in flight finish",
			params,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => functions.delete(params.name!),
		}),
		...readinessRoutes(deps),
		invokeRoute(deps),
	];
}

/** What stands ready of a function without an event. */
function readinessRoutes(deps: ApiDeps): Route[] {
	const { functions } = deps;
	return [
		route({
			id: "setSpares",
			method: "PUT",
			path: "/functions/{name}/spares",
			summary: "Say what is kept ready of a function while it is in use; what is left out stays as it is",
			params,
			body: { kind: "json", component: "ChangeSpares" },
			input: changeSparesSchema,
			answer: { kind: "json", status: 200, component: "Function" },
			handle: async ({ params, input }) => toView(await functions.setSpares(params.name!, input), deps),
		}),
		route({
			id: "stopFunction",
			method: "POST",
			path: "/functions/{name}/stop",
			summary: "Let a function go to zero now: end what of it waits for an event, but for provisioned concurrency",
			params,
			answer: { kind: "json", status: 200, component: "Stopped" },
			handle: async ({ params }) => {
				const { name } = functions.get(params.name!);
				return { sandboxes: await deps.dispatcher.stop(name) };
			},
		}),
	];
}

function invokeRoute(deps: ApiDeps): Route {
	return route({
		id: "invokeFunction",
		method: "POST",
		path: "/functions/{name}/invocations",
		summary: "Invoke a function and wait for its answer",
		params,
		query: invokeQuery,
		body: { kind: "raw", mediaType: "application/json" },
		answer: {
			kind: "raw",
			description: "What the function returned, or its error object when slipway-function-error is set",
			headers: {
				"slipway-request-id": "The invocation's id, as the function and its log see it",
				"slipway-executed-version": "Version that ran",
				"slipway-function-error": "'Unhandled' when the function failed",
				"slipway-log-tail": "Base64 of the log's last 4 KB, with ?tail=true",
				"server-timing":
					"After a cold start: milliseconds of its stages queue, sandbox (desc=spare: it stood made), process, init and first-poll",
			},
		},
		handle: (call) => invoke(deps, call),
	});
}

async function invoke(deps: ApiDeps, call: Call<z.output<typeof invokeQuery>, unknown>): Promise<void> {
	const { params, query, request, response, requestId } = call;
	const name = params.name!;
	const { arn } = deps.functions.get(name);
	const payload = await readBody(request, maxPayloadBytes);
	const header = (name: string) => request.headers[name]?.toString();
	const result = await deps.dispatcher.invoke(name, {
		requestId,
		traceId: traceIdOf(header, deps.clock.now(), deps.ids, deps.spans !== undefined),
		payload: payload.length > 0 ? payload : Buffer.from("{}"),
		invokedArn: query.qualifier === undefined ? arn : `${arn}:${query.qualifier}`,
		...(query.qualifier !== undefined && { qualifier: query.qualifier }),
		tail: query.tail,
	});
	response.writeHead(200, {
		"content-type": "application/json",
		"content-length": result.payload.length,
		...resultHeaders(result),
	});
	response.end(result.payload);
}

function resultHeaders(result: InvocationResult): Record<string, string> {
	const { functionError, logTail, coldStart } = result;
	return {
		"slipway-executed-version": result.executedVersion,
		...(functionError && { "slipway-function-error": functionError }),
		...(logTail && { "slipway-log-tail": Buffer.from(logTail).toString("base64") }),
		...(coldStart && { "server-timing": serverTiming(coldStart) }),
	};
}

function usageView({
	invocations,
	errors,
	throttles,
	platformFailures,
	coldStarts,
	lastColdStart,
}: Readonly<FunctionUsage>) {
	return {
		invocations,
		errors,
		throttles,
		platformFailures,
		coldStarts,
		...(lastColdStart && { lastColdStart: coldStartView(lastColdStart) }),
	};
}

function coldStartView(coldStart: ColdStart): FunctionView["usage"]["lastColdStart"] {
	const totals = stageTotals(coldStart);
	const ms = (stage: ColdStartStage) => Math.round(totals[stage] * 1000) / 1000;
	return {
		queueMs: ms("queue"),
		sandboxMs: ms("sandbox"),
		processMs: ms("process"),
		initMs: ms("init"),
		firstPollMs: ms("first-poll"),
		spare: coldStart.spare,
	};
}

function toView(record: FunctionRecord, { functions, meter }: ApiDeps): FunctionView {
	const { configuration, code, state, lastUpdate } = record;
	return {
		name: record.name,
		arn: record.arn,
		state: state.state,
		...("reason" in state && { stateReason: state.reason }),
		lastUpdateStatus: lastUpdate.status,
		...("reason" in lastUpdate && { lastUpdateReason: lastUpdate.reason }),
		progress: functions.progress(record.name),
		image: code.imageUri,
		resolvedImage: code.resolvedImageUri,
		imageSize: code.image?.size,
		description: configuration.description,
		role: configuration.role,
		architecture: configuration.architecture,
		memoryMiB: configuration.memoryMiB,
		timeoutS: configuration.timeoutS,
		tmpMiB: configuration.tmpMiB,
		environment: configuration.environment ?? {},
		imageConfig: configuration.imageConfig,
		logGroup: configuration.logGroup,
		spares: record.spares,
		tags: record.tags,
		revisionId: record.revisionId,
		createdMs: record.createdMs,
		lastModifiedMs: record.lastModifiedMs,
		usage: usageView(meter.usage(record.name)),
	};
}
