import type * as sdk from "@aws-sdk/client-scheduler";
import { SlipwayError } from "../../../../base/error.ts";
import type { ScheduleGroups } from "../../../../engine/schedules/schedule-groups.ts";
import { defaultGroup, type GroupRecord, keyOf } from "../../../../engine/schedules/schedule-record.ts";
import type { Schedules } from "../../../../engine/schedules/schedules.ts";
import { type AwsService, type Handlers, handlersOf, type WireError } from "../../service.ts";
import { validate } from "./constraints.ts";
import { pageOf, scheduleOutput, scheduleSummary, specOf, validation } from "./wire.ts";

export interface SchedulerDeps {
	schedules: SchedulesPort;
	region: string;
	/** 12 digits. */
	accountId: string;
}

type SchedulesPort = Pick<Schedules, "create" | "update" | "get" | "list" | "delete" | "arnOf"> & {
	groups: Pick<ScheduleGroups, "create" | "get" | "list" | "delete" | "tag" | "untag">;
};

type SchedulerHandlers = Handlers<typeof sdk>;

/** Bytes of a CreateSchedule body: an input of 256 KB, of which JSON may make six times as much. */
const maxScheduleBytes = 2 * 1024 * 1024;

/** Amazon EventBridge Scheduler, API 2021-06-30. Roles are stored and returned, not evaluated. */
export function schedulerService(deps: SchedulerDeps): AwsService {
	const invalid: WireError = { name: "ValidationException", status: 400 };
	const conflict: WireError = { name: "ConflictException", status: 409 };
	const internal: WireError = { name: "InternalServerException", status: 500 };
	return {
		name: "scheduler",
		protocol: "rest-json",
		sdkPackage: "@aws-sdk/client-scheduler",
		ownsPath: /^\/schedule(s|-groups)(\/|$)/,
		handlers: handlersOf<typeof sdk>({ ...scheduleHandlers(deps), ...groupHandlers(deps), ...tagHandlers(deps) }),
		maxBodyBytes: { CreateSchedule: maxScheduleBytes, UpdateSchedule: maxScheduleBytes },
		validate,
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "ResourceNotFoundException", status: 404 },
			ALREADY_EXISTS: conflict,
			CONFLICT: conflict,
			PRECONDITION: conflict,
			UNAUTHENTICATED: { name: "UnrecognizedClientException", status: 403 },
			FORBIDDEN: { name: "AccessDeniedException", status: 403 },
			TOO_LARGE: invalid,
			THROTTLED: { name: "ServiceQuotaExceededException", status: 402 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: invalid,
			DEADLINE: internal,
			EXHAUSTED: internal,
			UNAVAILABLE: internal,
			SANDBOX_FAILED: internal,
		},
		internalError: internal,
	};
}

function scheduleHandlers({ schedules }: SchedulerDeps): SchedulerHandlers {
	return {
		CreateSchedule: async (input, call) => {
			const { group, name } = placeOf(input);
			const made = await withHint(schedules.create(group, name, specOf(input), input.ClientToken ?? call.requestId));
			return { ScheduleArn: schedules.arnOf(made.group, made.name) };
		},
		UpdateSchedule: async (input) => {
			const { group, name } = placeOf(input);
			await withHint(schedules.update(group, name, specOf(input)));
			return { ScheduleArn: schedules.arnOf(group, name) };
		},
		GetSchedule: (input) => {
			const { group, name } = placeOf(input);
			return scheduleOutput(schedules.get(group, name), schedules.arnOf(group, name));
		},
		DeleteSchedule: async (input) => {
			const { group, name } = placeOf(input);
			await schedules.delete(group, name, input.ClientToken);
			return {};
		},
		ListSchedules: (input) => {
			const { GroupName, NamePrefix = "", State } = input;
			if (GroupName !== undefined) schedules.groups.get(GroupName);
			const all = schedules
				.list()
				.filter(({ group, name }) => (GroupName === undefined || group === GroupName) && name.startsWith(NamePrefix))
				.filter(({ spec }) => State === undefined || (State === "ENABLED") === spec.enabled);
			// "/" sorts after "-" and ".", which names may have: no name has a character below it that is not printable.
			const page = pageOf(all, ({ group, name }) => keyOf(group, name).replace("/", "\u0000"), input);
			const { items, ...token } = page;
			return {
				...token,
				Schedules: items.map((record) => scheduleSummary(record, schedules.arnOf(record.group, record.name))),
			};
		},
	};
}

function groupHandlers({ schedules, region, accountId }: SchedulerDeps): SchedulerHandlers {
	const arnOf = (name: string) => `arn:aws:scheduler:${region}:${accountId}:schedule-group/${name}`;
	const view = (group: GroupRecord) => ({
		Arn: arnOf(group.name),
		Name: group.name,
		State: "ACTIVE" as const,
		CreationDate: new Date(group.createdMs),
		LastModificationDate: new Date(group.modifiedMs),
	});
	return {
		CreateScheduleGroup: async ({ Name, Tags = [], ClientToken = "" }) => {
			await schedules.groups.create(Name, tagsOf(Tags), ClientToken);
			return { ScheduleGroupArn: arnOf(Name) };
		},
		GetScheduleGroup: ({ Name }) => view(schedules.groups.get(Name)),
		DeleteScheduleGroup: async ({ Name, ClientToken }) => {
			await schedules.groups.delete(Name, ClientToken);
			return {};
		},
		ListScheduleGroups: (input) => {
			const all = schedules.groups.list().filter(({ name }) => name.startsWith(input.NamePrefix ?? ""));
			const { items, ...token } = pageOf(all, ({ name }) => name, input);
			return { ...token, ScheduleGroups: items.map(view) };
		},
	};
}

/** Only groups have tags. */
function tagHandlers({ schedules, region, accountId }: SchedulerDeps): SchedulerHandlers {
	const prefix = `arn:aws:scheduler:${region}:${accountId}:schedule-group/`;
	const groupOf = (arn: string) => {
		if (!arn.startsWith(prefix)) throw validation(`'${arn.slice(0, 200)}' is not the ARN of a schedule group.`);
		return arn.slice(prefix.length);
	};
	return {
		ListTagsForResource: ({ ResourceArn }) => {
			const { tags } = schedules.groups.get(groupOf(ResourceArn));
			return { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
		},
		TagResource: async ({ ResourceArn, Tags }) => {
			await schedules.groups.tag(groupOf(ResourceArn), tagsOf(Tags));
			return {};
		},
		UntagResource: async ({ ResourceArn, TagKeys }) => {
			await schedules.groups.untag(groupOf(ResourceArn), TagKeys);
			return {};
		},
	};
}

/** API_Tag: a key of 1 to 128 characters, a value of 1 to 256. */
const maxKeyLength = 128;
const maxValueLength = 256;

function tagsOf(tags: readonly sdk.Tag[]): Record<string, string> {
	return Object.fromEntries(
		tags.map(({ Key = "", Value = "" }) => {
			if (Key === "" || Key.length > maxKeyLength || Value === "" || Value.length > maxValueLength)
				throw validation(`A tag has a key of 1 to ${maxKeyLength} and a value of 1 to ${maxValueLength} characters.`);
			return [Key, Value];
		}),
	);
}

function placeOf(input: { Name: string; GroupName?: string | undefined }): { group: string; name: string } {
	return { group: input.GroupName ?? defaultGroup, name: input.Name };
}

/** AWS's words, and behind them what is wrong with the expression. */
async function withHint<T>(work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (error instanceof SlipwayError && error.reason === "ScheduleExpression" && error.hint !== undefined)
			throw validation(`${error.message} (${error.hint})`);
		throw error;
	}
}
