import type * as sdk from "@aws-sdk/client-eventbridge";
import { archiveArn, busArn, busOfArn, replayArn, ruleArn } from "../../../../engine/bus/names.ts";
import type { ArchiveRecord, ReplayRecord } from "../../../../engine/bus/types.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { invalid, pageOf } from "./wire.ts";

export function archiveHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	const { bus } = deps;
	return {
		CreateArchive: async (input) => {
			const record = await bus.createArchive({
				name: input.ArchiveName,
				bus: sourceBus(deps, input.EventSourceArn),
				description: input.Description,
				eventPattern: input.EventPattern,
				retentionDays: input.RetentionDays ?? 0,
			});
			return archiveState(deps, record);
		},
		UpdateArchive: async (input) => {
			const record = await bus.updateArchive(input.ArchiveName, {
				...(input.Description !== undefined && { description: input.Description }),
				...(input.EventPattern !== undefined && { eventPattern: input.EventPattern }),
				...(input.RetentionDays !== undefined && { retentionDays: input.RetentionDays }),
			});
			return archiveState(deps, record);
		},
		DeleteArchive: async (input) => {
			await bus.deleteArchive(input.ArchiveName);
			return {};
		},
		DescribeArchive: async (input) => {
			const record = bus.describeArchive(input.ArchiveName);
			const { description: Description, eventPattern: EventPattern } = record;
			const ArchiveArn = archiveArn(deps, record.name);
			return { ...(await wireArchive(deps, record)), ArchiveArn, Description, EventPattern };
		},
		ListArchives: async (input) => {
			const { NamePrefix: prefix = "", EventSourceArn: source, State: state } = input;
			const all = bus
				.listArchives()
				.filter((one) => one.name.startsWith(prefix) && (source === undefined || busArn(deps, one.bus) === source));
			const { items, next } = pageOf(state === undefined || state === "ENABLED" ? all : [], ({ name }) => name, input);
			return { Archives: await Promise.all(items.map((record) => wireArchive(deps, record))), ...next };
		},
		...replayHandlers(deps),
	};
}

function replayHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	const { bus } = deps;
	return {
		StartReplay: async (input) => {
			const record = await bus.startReplay({
				name: input.ReplayName,
				description: input.Description,
				...replayInput(deps, input),
			});
			return {
				ReplayArn: replayArn(deps, record.name),
				State: record.state,
				ReplayStartTime: new Date(record.startedMs),
			};
		},
		CancelReplay: async (input) => {
			const { name, state, stateReason } = await bus.cancelReplay(input.ReplayName);
			return { ReplayArn: replayArn(deps, name), State: state, StateReason: stateReason };
		},
		DescribeReplay: (input) => {
			const record = bus.describeReplay(input.ReplayName);
			const filters = record.rules?.map((rule) => ruleArn(deps, record.bus, rule));
			return {
				...wireReplay(deps, record),
				ReplayArn: replayArn(deps, record.name),
				Description: record.description,
				Destination: { Arn: busArn(deps, record.bus), ...(filters && { FilterArns: filters }) },
			};
		},
		ListReplays: (input) => {
			const { NamePrefix: prefix = "", State: state, EventSourceArn: source } = input;
			const all = bus
				.listReplays()
				.filter((one) => one.name.startsWith(prefix) && (state === undefined || one.state === state))
				.filter((one) => source === undefined || archiveArn(deps, one.archive) === source);
			const { items, next } = pageOf(all, ({ name }) => name, input);
			return { Replays: items.map((record) => wireReplay(deps, record)), ...next };
		},
	};
}

function sourceBus(deps: EventBridgeDeps, arn: string): string {
	const name = busOfArn(deps, arn);
	if (name === undefined) throw invalid("Parameter EventSourceArn is not valid. Reason: Must be an event bus's ARN.");
	return name;
}

type ReplayInput = Pick<ReplayRecord, "archive" | "bus" | "rules" | "fromMs" | "toMs">;

function replayInput(deps: EventBridgeDeps, input: sdk.StartReplayRequest): ReplayInput {
	const archivePrefix = archiveArn(deps, "");
	const source = input.EventSourceArn ?? "";
	if (!source.startsWith(archivePrefix))
		throw invalid("Parameter EventSourceArn is not valid. Reason: Must contain an archive arn.");
	const bus = busOfArn(deps, input.Destination?.Arn ?? "");
	if (bus === undefined)
		throw invalid("Parameter Destination.Arn is not valid. Reason: Must contain an event bus ARN.");
	const rulePrefix = ruleArn(deps, bus, "");
	const filters = input.Destination?.FilterArns;
	const rules = filters?.map((arn) => {
		if (!arn.startsWith(rulePrefix))
			throw invalid("Parameter Destination.FilterArns is not valid. Reason: Must contain rules of the event bus.");
		return arn.slice(rulePrefix.length);
	});
	return {
		archive: source.slice(archivePrefix.length),
		bus,
		...(rules && rules.length > 0 && { rules }),
		fromMs: input.EventStartTime?.getTime() ?? 0,
		toMs: input.EventEndTime?.getTime() ?? 0,
	};
}

function archiveState(deps: EventBridgeDeps, { name, createdMs }: ArchiveRecord) {
	return { ArchiveArn: archiveArn(deps, name), State: "ENABLED" as const, CreationTime: new Date(createdMs) };
}

async function wireArchive(deps: EventBridgeDeps, record: ArchiveRecord): Promise<sdk.Archive> {
	const { events, bytes } = await deps.bus.archiveSize(record.name);
	return {
		ArchiveName: record.name,
		EventSourceArn: busArn(deps, record.bus),
		State: "ENABLED",
		RetentionDays: record.retentionDays,
		SizeBytes: bytes,
		EventCount: events,
		CreationTime: new Date(record.createdMs),
	};
}

function wireReplay(deps: EventBridgeDeps, record: ReplayRecord): sdk.Replay {
	const { lastEventMs, endedMs } = record;
	return {
		ReplayName: record.name,
		EventSourceArn: archiveArn(deps, record.archive),
		State: record.state,
		StateReason: record.stateReason,
		EventStartTime: new Date(record.fromMs),
		EventEndTime: new Date(record.toMs),
		ReplayStartTime: new Date(record.startedMs),
		...(lastEventMs !== undefined && { EventLastReplayedTime: new Date(lastEventMs) }),
		...(endedMs !== undefined && { ReplayEndTime: new Date(endedMs) }),
	};
}
