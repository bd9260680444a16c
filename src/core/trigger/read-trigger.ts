import { isSlipwayError } from "../../base/error.ts";
import { compilePattern } from "../event-pattern/event-pattern.ts";
import type { BrokerKind } from "../event-source/event-source.ts";
import { FieldProblems } from "../service/field-problems.ts";
import { ObjectReader } from "../service/object-reader.ts";
import { readName } from "./read-connection.ts";
import type { Trigger } from "./trigger.ts";

interface SourceFields {
	required: readonly string[];
	optional: readonly string[];
}

/** Of each kind of broker, one of these sets. */
const sourceFields: Readonly<Record<BrokerKind, readonly SourceFields[]>> = {
	rabbitmq: [{ required: ["queue"], optional: [] }],
	nats: [{ required: ["stream"], optional: ["subject", "durable", "deadLetterSubject"] }],
	redis: [{ required: ["stream"], optional: ["group", "deadLetterStream"] }],
	postgres: [
		{ required: ["table"], optional: ["channel"] },
		{ required: ["slot", "publication"], optional: [] },
	],
};

/** As Lambda has them for queues, where it has: messages of a batch, milliseconds, attempts. */
const maxBatch = 1000;
const maxWindowMs = 300_000;
const maxPrefetch = 10_000;
const maxConcurrency = 1000;
const maxAttempts = 1000;
const maxAgeMs = 14 * 86_400_000;
const defaults = { prefetch: 100, concurrency: 10, maxAttempts: 3, maxAgeMs: 6 * 3_600_000 };

/** A document as somebody wrote it, with its defaults. `kindOf` knows connections. INVALID with every field that is wrong. */
export function readTrigger(document: unknown, kindOf: (connection: string) => BrokerKind | undefined): Trigger {
	const problems = new FieldProblems();
	const reader = new ObjectReader(document ?? "", "", problems);
	const name = readName(reader, "name");
	const source = readSource(reader, kindOf);
	const target = reader.text("target");
	if (target === undefined) problems.missing("target");
	const delivery = readDelivery(reader);
	const ordered = reader.flag("ordered") ?? false;
	const batch = readBatch(reader, delivery);
	const prefetch = reader.bounded("prefetch", 1, maxPrefetch) ?? defaults.prefetch;
	const trigger: Trigger = {
		name,
		source,
		target: target ?? "",
		delivery,
		ordered,
		enabled: reader.flag("enabled") ?? true,
		...readFilter(reader),
		batch,
		// A batch that can't become full would wait for its window each time.
		prefetch: Math.max(prefetch, batch.size),
		concurrency: ordered ? 1 : (reader.bounded("concurrency", 1, maxConcurrency) ?? defaults.concurrency),
		retry: readRetry(reader),
		...readDeadLetter(reader, delivery, source),
	};
	if (ordered) reader.ignore("concurrency");
	reader.end();
	problems.throwIfFound();
	return trigger;
}

function readSource(parent: ObjectReader, kindOf: (connection: string) => BrokerKind | undefined): Trigger["source"] {
	const { problems } = parent;
	const reader = parent.object("source");
	if (!reader) {
		problems.missing("source");
		return { connection: "" };
	}
	const connection = readName(reader, "connection");
	const kind = kindOf(connection);
	if (!kind) {
		if (connection !== "")
			problems.invalid(connection, "source.connection", "there is no such connection: apply one with that name first");
		return { connection };
	}
	const sets = sourceFields[kind];
	const fields = sets.find(({ required }) => required.some((field) => reader.has(field))) ?? sets[0];
	const source: Record<string, string> = {};
	for (const field of [...(fields?.required ?? []), ...(fields?.optional ?? [])]) {
		const value = reader.text(field);
		if (value !== undefined && value !== "") source[field] = value;
		else if (fields?.required.includes(field)) problems.missing(reader.at(field));
	}
	reader.end();
	return { ...source, connection };
}

function readDelivery(reader: ObjectReader): Trigger["delivery"] {
	const delivery = reader.text("delivery") ?? "durable";
	if (delivery === "durable" || delivery === "direct") return delivery;
	reader.problems.invalid(delivery, "delivery", "must be durable or direct");
	return "durable";
}

function readBatch(parent: ObjectReader, delivery: Trigger["delivery"]): Trigger["batch"] {
	const reader = parent.object("batch");
	const size = reader?.bounded("size", 1, maxBatch) ?? 1;
	const windowMs = reader?.bounded("windowMs", 0, maxWindowMs) ?? 0;
	const itemFailures = reader?.flag("itemFailures") ?? false;
	if (itemFailures && delivery === "durable")
		parent.problems.invalid(
			itemFailures,
			"batch.itemFailures",
			"is for delivery direct: a durable one hands over one message at a time",
		);
	reader?.end();
	return { size, windowMs, ...(itemFailures && { itemFailures }) };
}

function readRetry(parent: ObjectReader): Trigger["retry"] {
	const reader = parent.object("retry");
	const retry = {
		maxAttempts: reader?.bounded("maxAttempts", 1, maxAttempts) ?? defaults.maxAttempts,
		maxAgeMs: reader?.bounded("maxAgeMs", 1000, maxAgeMs) ?? defaults.maxAgeMs,
	};
	reader?.end();
	return retry;
}

function readFilter(reader: ObjectReader): Pick<Trigger, "filter"> {
	const filter = reader.any("filter");
	if (filter === undefined) return {};
	if (typeof filter !== "object" || filter === null || Array.isArray(filter)) {
		reader.problems.invalid(filter, "filter", "must be an event pattern: an object");
		return {};
	}
	try {
		compilePattern(filter);
	} catch (error) {
		if (!isSlipwayError(error, "INVALID")) throw error;
		reader.problems.invalid(filter, "filter", error.message);
	}
	return { filter: { ...filter } };
}

function readDeadLetter(
	reader: ObjectReader,
	delivery: Trigger["delivery"],
	source: Trigger["source"],
): Pick<Trigger, "deadLetter"> {
	const deadLetter = reader.text("deadLetter");
	if (deadLetter === undefined) return {};
	if (deadLetter !== "broker" && !deadLetter.startsWith("arn:"))
		reader.problems.invalid(deadLetter, "deadLetter", "must be the ARN of a queue, or broker");
	if (deadLetter === "broker" && delivery === "durable")
		reader.problems.invalid(deadLetter, "deadLetter", "broker is for delivery direct: the broker has forgotten it");
	// A transaction log has no place for what failed; a JetStream consumer has one when it is named.
	if (deadLetter === "broker" && source.slot !== undefined)
		reader.problems.invalid(deadLetter, "deadLetter", "a replication slot keeps no dead letters");
	return { deadLetter };
}
