/** Records of services and revisions as they begin, and as a client's new definition leaves them. Pure but for ids. */
import { isDeepStrictEqual } from "node:util";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { ObjectMeta } from "../../core/service/knative.ts";
import { creatorAnnotation, modifierAnnotation } from "../../core/service/service-annotations.ts";
import type { ServiceDraft } from "../../core/service/validate-service.ts";
import { type FormerMetadata, maxFormer, type RevisionRecord, type ServiceRecord } from "./records.ts";
import { apiVersion, ownerOf } from "./views.ts";

export interface NewRecordDeps {
	ids: Pick<Ids, "uuid">;
	nowMs: number;
	user: string;
}

const empty = { observedGeneration: 0, conditions: [] };

/** RFC 3339 without fractions, as Kubernetes writes times. */
export function timestamp(ms: number): string {
	return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

export function newService(draft: ServiceDraft, { ids, nowMs, user }: NewRecordDeps): ServiceRecord {
	const metadata: ObjectMeta = {
		name: draft.name,
		namespace: draft.namespace,
		uid: ids.uuid(),
		resourceVersion: "",
		generation: 1,
		creationTimestamp: timestamp(nowMs),
		labels: draft.labels,
		annotations: { ...draft.annotations, [creatorAnnotation]: user, [modifierAnnotation]: user },
	};
	const child = () => ({ uid: ids.uuid(), resourceVersion: "", generation: 1, status: empty });
	return {
		metadata,
		spec: draft.spec,
		status: empty,
		profile: draft.profile,
		warnings: draft.warnings,
		configuration: child(),
		route: child(),
		routing: {
			targets: [],
			tags: [],
			rollout: undefined,
			probation: undefined,
			rolledBack: undefined,
			history: [],
		},
	};
}

/** Kubernetes' PUT. INVALID, CONFLICT; the record itself when nothing is different. */
export function replacedService(record: ServiceRecord, draft: ServiceDraft, user: string): ServiceRecord {
	const { metadata, spec } = record;
	checkCurrent(metadata, draft);
	const template = !isDeepStrictEqual(spec.template, draft.spec.template);
	const traffic = !isDeepStrictEqual(spec.traffic, draft.spec.traffic);
	const { name } = draft.spec.template.metadata;
	if (template && name !== undefined && name === spec.template.metadata.name)
		throw new SlipwayError(
			"INVALID",
			`validation failed: Saw the following changes without a name change (-old +new): spec.template.metadata.name\n${name} is the name of the revision that exists: give the changed template another one, or none`,
			{ reason: "Invalid" },
		);
	const changed = template || traffic;
	const annotations = {
		...draft.annotations,
		[creatorAnnotation]: metadata.annotations[creatorAnnotation] ?? user,
		[modifierAnnotation]: changed ? user : (metadata.annotations[modifierAnnotation] ?? user),
	};
	const next: ServiceRecord = {
		...record,
		metadata: { ...metadata, generation: metadata.generation + Number(changed), labels: draft.labels, annotations },
		spec: draft.spec,
		profile: draft.profile,
		warnings: draft.warnings,
		configuration: { ...record.configuration, generation: record.configuration.generation + Number(template) },
		route: { ...record.route, generation: record.route.generation + Number(traffic) },
	};
	const former = formerMetadata(record, next.metadata);
	if (former) next.route.former = former;
	else delete next.route.former;
	return isDeepStrictEqual(next, record) ? record : next;
}

/** With what `next` leaves out. Undefined: there is nothing of that kind. */
function formerMetadata({ metadata, route }: ServiceRecord, next: ObjectMeta): FormerMetadata | undefined {
	const of = (kind: keyof FormerMetadata) => {
		const all = Object.entries({ ...route.former?.[kind], ...metadata[kind] });
		return Object.fromEntries(all.filter(([key]) => !Object.hasOwn(next[kind], key)).slice(-maxFormer));
	};
	const former = { labels: of("labels"), annotations: of("annotations") };
	return Object.keys({ ...former.labels, ...former.annotations }).length > 0 ? former : undefined;
}

function checkCurrent(metadata: ObjectMeta, draft: ServiceDraft): void {
	const { name, resourceVersion, uid, annotations } = metadata;
	if (draft.resourceVersion !== undefined && draft.resourceVersion !== resourceVersion)
		throw new SlipwayError(
			"CONFLICT",
			`Operation cannot be fulfilled on services.serving.knative.dev "${name}": the object has been modified; please apply your changes to the latest version and try again`,
			{ reason: "Conflict" },
		);
	if (draft.uid !== undefined && draft.uid !== uid)
		throw new SlipwayError(
			"CONFLICT",
			`Operation cannot be fulfilled on services.serving.knative.dev "${name}": Precondition failed: UID in precondition: ${draft.uid.slice(0, 64)}, UID in object meta: ${uid}`,
			{ reason: "Conflict" },
		);
	const creator = draft.annotations[creatorAnnotation];
	if (creator !== undefined && creator !== annotations[creatorAnnotation])
		throw new SlipwayError(
			"INVALID",
			`validation failed: annotation value is immutable: metadata.annotations.${creatorAnnotation}`,
			{ reason: "Invalid" },
		);
}

/** pkg/reconciler/configuration/resources/revision.go MakeRevision. */
export function newRevision(service: ServiceRecord, { ids, nowMs }: NewRecordDeps): RevisionRecord {
	const { metadata, spec, configuration } = service;
	const { template } = spec;
	const now = timestamp(nowMs);
	const own = "serving.knative.dev/";
	return {
		object: {
			apiVersion,
			kind: "Revision",
			metadata: {
				name: revisionName(service),
				namespace: metadata.namespace,
				uid: ids.uuid(),
				resourceVersion: "",
				generation: 1,
				creationTimestamp: now,
				labels: {
					...template.metadata.labels,
					[`${own}configuration`]: metadata.name,
					[`${own}configurationGeneration`]: String(configuration.generation),
					[`${own}configurationUID`]: configuration.uid,
					[`${own}service`]: metadata.name,
					[`${own}serviceUID`]: metadata.uid,
					[`${own}routingState`]: "pending",
				},
				annotations: {
					...template.metadata.annotations,
					[creatorAnnotation]: metadata.annotations[modifierAnnotation] ?? "",
					[`${own}routingStateModified`]: now,
				},
				ownerReferences: [ownerOf("Configuration", metadata.name, configuration.uid)],
			},
			spec: template.spec,
			status: empty,
		},
		service: metadata.name,
		profile: service.profile,
		generation: configuration.generation,
		progress: { state: "resolving" },
		images: undefined,
		lastRoutedMs: nowMs,
	};
}

const maxNameLength = 63;

/** SERVICE-00001, or the template's own. */
export function revisionName({ metadata, spec, configuration }: ServiceRecord): string {
	const suffix = `-${String(configuration.generation).padStart(5, "0")}`;
	return spec.template.metadata.name ?? `${metadata.name.slice(0, maxNameLength - suffix.length)}${suffix}`;
}
