/**
 * Each broker through a real daemon: a function called directly, a service from the log, a rule of the bus whose target is the broker
 * and a trigger that brings it back to a queue. The daemon and the broker are killed meanwhile: nothing is lost, repeats are counted.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { skipPostgres, startPostgres } from "../../src/adapters/postgres/testing/server.ts";
import { redisPassword } from "../../src/adapters/redis/testing/server.ts";
import { brokers, type KillableBroker, type PlaceName, type Places } from "./brokers.ts";
import { World } from "./world.ts";

const messages = 120;
const rows = 40;
const patienceMs = 90_000;
const passwordName = "SLIPWAY_SECRET_BROKER";
const skip = process.getuid?.() === 0 ? false : "sandboxes need root";

/** Every tenth is named as failed the first time that the function gets it, as ReportBatchItemFailures has it. */
const called: string[] = [];
const refused = new Set<string>();

interface Item {
	id: string;
	body: string;
}

function itemsOf(event: unknown): Item[] {
	if (Array.isArray(event))
		return event.map(({ id, data }: { id: string; data: unknown }) => ({ id, body: JSON.stringify(data) }));
	const { rmqMessagesByQueue: queues } = event as {
		rmqMessagesByQueue: Record<string, { id: string; data: string }[]>;
	};
	return Object.values(queues)
		.flat()
		.map(({ id, data }) => ({ id, body: Buffer.from(data, "base64").toString() }));
}

function verdict(text: string) {
	const failures: { itemIdentifier: string }[] = [];
	for (const { id, body } of itemsOf(JSON.parse(text))) {
		if (body.endsWith('0"}') && !refused.has(body)) {
			refused.add(body);
			failures.push({ itemIdentifier: id });
		} else called.push(body);
	}
	return { isError: false, answer: JSON.stringify({ batchItemFailures: failures }) };
}

describe("Brokers through the daemon", { skip }, () => {
	let world: World;
	before(async () => {
		world = await World.open({
			verdict,
			env: { [passwordName]: "s3cret-postgres" },
			secrets: { redis: redisPassword },
		});
	});
	after(() => world?.[Symbol.asyncDispose]());

	for (const [kind, kit] of Object.entries(brokers))
		it(`${kind}: nothing is lost between it, the daemon and the code`, { skip: kit.skip }, async (t) => {
			await using broker = await kit.open();
			const path = await declare(world, kind, broker, kit.places);
			await tellsProblems(world, kind, broker, kit.places);
			const count = async (place: string, put: (id: string) => Promise<void>) => {
				let again = 0;
				for (let number = 0; number < messages; number++) again += await untilTaken(() => put(`${place}-${number}`));
				return again;
			};
			await using sink = kit.sink(broker.address);
			const publish = (place: PlaceName) =>
				count(`${kind}-${place}`, (id) =>
					sink.publish(
						{
							destination: kit.places[place].destination,
							id,
							body: Buffer.from(JSON.stringify({ n: id })),
							contentType: "application/json",
							headers: {},
						},
						AbortSignal.timeout(patienceMs),
					),
				);
			const sent = Promise.all([
				publish("work"),
				publish("inbox"),
				count(`${kind}-out`, (id) => putEvent(world, kind, id)),
			]);
			await sleep(500);
			await world.restart();
			await sleep(500);
			await broker.kill();
			await sleep(300);
			await broker.start();
			const [work, inbox, out] = await sent;
			const report = (what: string, got: readonly string[], twice: number) => {
				assert.equal(new Set(got).size, messages, `${what} got ${new Set(got).size} of ${messages}`);
				t.diagnostic(`${kind} ${what}: 0 lost, ${got.length - messages} repeated (${twice} sent again)`);
				assert.ok(got.length - messages <= 3 * path.inHand + twice, `${got.length - messages} were repeated`);
			};
			const mine = (place: string, bodies: readonly string[]) =>
				bodies.filter((body) => body.includes(`"${kind}-${place}-`));
			report("function", await until(async () => mine("work", called)), work);
			report("service", await until(async () => mine("inbox", await world.kept())), inbox);
			const arrived: string[] = [];
			report(
				"bus, broker, queue",
				await until(async () => {
					for (const body of mine("out", await world.take(path.queue))) arrived.push(body);
					return arrived;
				}),
				out,
			);
			for (const name of path.triggers) await world.cli(["trigger", "rm", name]);
		});

	it("PostgreSQL's row changes by a slot: none is lost, in the order of the commits", {
		skip: skipPostgres,
	}, async () => {
		await using server = await startPostgres();
		await server.query("CREATE TABLE things (id int PRIMARY KEY, name text)");
		await server.query("CREATE PUBLICATION things FOR TABLE things");
		await world.cli(["queue", "create", "changes"]);
		const documents = [
			{ name: "rows", kind: "postgres", url: server.address.url.href, password: { env: passwordName } },
			{
				name: "changes",
				source: { connection: "rows", slot: "slipway_things", publication: "things" },
				target: world.arn("sqs", "changes"),
				ordered: true,
			},
		];
		await world.cli(["trigger", "apply", "-f", "-"], documents.map((one) => JSON.stringify(one)).join("\n---\n"));
		await untilTaken(async () => assert.match(await world.cli(["trigger", "ls"]), /rows slipway_things .* connected /));
		for (let id = 0; id < rows; id++) {
			await server.query("INSERT INTO things VALUES ($1, 'a')", [id]);
			if (id === rows / 2) await world.restart();
		}
		const seen: number[] = [];
		await untilTaken(async () => {
			for (const body of await world.take("changes")) seen.push(JSON.parse(body).after.id);
			assert.equal(new Set(seen).size, rows);
		});
		await world.cli(["trigger", "rm", "changes"]);
	});
});

/** Connection, triggers, queue and rule of one broker. */
async function declare(world: World, kind: string, { address }: KillableBroker, places: Places) {
	const queue = `${kind}-arrived`;
	await world.cli(["queue", "create", queue]);
	const inHand = 20;
	const common = { prefetch: inHand, concurrency: 5, retry: { maxAttempts: 50 } };
	const source = (place: PlaceName) => ({ connection: kind, ...places[place].source });
	const documents = [
		{ name: kind, kind, url: address.url.href, password: passwordOf(kind, address) },
		{
			name: `${kind}-work`,
			source: source("work"),
			target: world.arn("lambda", "function:sink"),
			delivery: "direct",
			batch: { size: 5, windowMs: 50, itemFailures: true },
			...common,
		},
		{ name: `${kind}-inbox`, source: source("inbox"), target: world.arn("run", "service/default/keeper"), ...common },
		{ name: `${kind}-out`, source: source("out"), target: world.arn("sqs", queue), ...common },
	];
	await world.cli(["trigger", "apply", "-f", "-"], documents.map((one) => JSON.stringify(one)).join("\n---\n"));
	const EventPattern = JSON.stringify({ source: [`test.${kind}`] });
	await world.operation("AWSEvents.PutRule", { Name: `to-${kind}`, EventPattern });
	const Arn = world.arn("broker", `${kind}/${places.out.destination}`);
	const Targets = [{ Id: "broker", Arn, InputPath: "$.detail" }];
	await world.operation("AWSEvents.PutTargets", { Rule: `to-${kind}`, Targets });
	return { queue, inHand, triggers: documents.slice(1).map(({ name }) => name) };
}

/** Each way to give a password is somebody's. */
function passwordOf(kind: string, { password }: KillableBroker["address"]) {
	if (kind === "redis") return { secret: "redis" };
	return kind === "postgres" ? { env: passwordName } : { value: password };
}

/** What `slipway trigger get` says of a password that is wrong, a place that is not there; and that it mends itself. */
async function tellsProblems(world: World, kind: string, { address }: KillableBroker, places: Places): Promise<void> {
	const state = async () =>
		JSON.parse(await world.cli(["trigger", "get", `${kind}-work`, "--json"])) as { state: string; message?: string };
	const apply = (document: object) => world.cli(["trigger", "apply", "-f", "-"], JSON.stringify(document));
	const is = (wanted: string) =>
		untilTaken(async () => assert.equal((await state()).state, wanted, JSON.stringify(await state())));
	await is("connected");
	const connection = { name: kind, kind, url: address.url.href };
	if (places.refusesPasswords) {
		await apply({ ...connection, password: { value: "wrong" } });
		await is("error");
		assert.match((await state()).message ?? "", /Correct the user in the connection's url, its password/);
		assert.doesNotMatch((await state()).message ?? "", /wrong|s3cret/);
	}
	await apply({ ...connection, password: passwordOf(kind, address) });
	await is("connected");
	if (kind !== "rabbitmq") return;
	const missing = { name: "missing", source: { connection: kind, queue: "nowhere" } };
	await apply({ ...missing, target: world.arn("lambda", "function:sink") });
	await untilTaken(async () =>
		assert.match(await world.cli(["trigger", "ls"]), /no queue 'nowhere'.*Make it at the broker/),
	);
	await world.cli(["trigger", "rm", "missing"]);
}

async function putEvent(world: World, kind: string, id: string): Promise<void> {
	const Entries = [{ Source: `test.${kind}`, DetailType: "Test", Detail: JSON.stringify({ n: id }) }];
	const answer = await world.operation<{ FailedEntryCount: number }>("AWSEvents.PutEvents", { Entries });
	assert.equal(answer.FailedEntryCount, 0);
}

/** How often it had to be tried again. */
async function untilTaken(work: () => Promise<unknown>): Promise<number> {
	for (let again = 0, deadline = Date.now() + patienceMs; ; again++) {
		try {
			await work();
			return again;
		} catch (error) {
			if (Date.now() > deadline) throw error;
			await sleep(100);
		}
	}
}

async function until(read: () => Promise<string[]>): Promise<string[]> {
	for (const deadline = Date.now() + patienceMs; ; await sleep(200)) {
		const got = await read().catch(() => []);
		if (new Set(got).size >= messages || Date.now() > deadline) return got;
	}
}
