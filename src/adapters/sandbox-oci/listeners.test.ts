import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { collect, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { checkSocketLookup } from "./socket-lookup.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

const SERVICES = "169.254.170.1";
const METADATA = "169.254.169.254";
/** Busybox's nc serves one connection. */
const serve = "while true; do nc -l -p 80 -e echo own || { echo taken; sleep 600; }; done";
const ask = (host: string, port: number) =>
	`nc -w 2 ${host} ${port} < /dev/null 2> /dev/null || echo "${host}:${port} refused"`;
const questions = [
	ask(SERVICES, 80),
	ask(METADATA, 80),
	ask(SERVICES, 81),
	ask("169.254.170.2", 80),
	ask("169.254.0.1", 80),
];
const listeners = [
	{ host: SERVICES, port: 80, onConnection: (socket: Socket) => void socket.end("services\n") },
	{ host: METADATA, port: 80, onConnection: (socket: Socket) => void socket.end("metadata\n") },
];
const answers = [
	"services",
	"metadata",
	`${SERVICES}:81 refused`,
	"169.254.170.2:80 refused",
	"169.254.0.1:80 refused",
];

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		for (const withDoors of [true, false])
			describe(
				`listeners ${withDoors ? "by a door" : "on sockets of their own"} under ${name}`,
				{ skip: whyNot(name) ?? false, timeout: 60_000 },
				() => suite(name, withDoors),
			);
});

function suite(name: OciRuntimeName, withDoors: boolean): void {
	let harness: OciHarness;
	const warnings: string[] = [];
	before(async () => {
		const ignore = () => {};
		const log = {
			debug: ignore,
			info: ignore,
			error: ignore,
			warn: (message: string) => void (message.includes("BPF") && warnings.push(message)),
		};
		harness = await openOciHarness(name, { withDoors, log });
	});
	after(() => harness?.[Symbol.asyncDispose]());

	for (const egress of [false, true])
		test(`a server on every address is ${withDoors ? "not in their way" : "refused their port"}, ${egress ? "with" : "without"} egress`, async () => {
			const spec = contractSpec(harness.rootfs, ["sh", "-c", `echo up; ${serve}`], {
				readonlyRoot: false,
				egress,
				listeners,
			});
			await using sandbox = await harness.runtime.create(spec);
			const { text } = collect(sandbox.stdout);
			await sandbox.start();
			await waitFor(() => text() !== "", "the server");
			const asked = async (script: string) => {
				const { stdout } = await sandbox.exec({ ...spec, args: ["sh", "-c", script] });
				return (await collect(stdout).ended).split("\n").slice(0, -1);
			};
			assert.deepEqual(await asked(questions.join(";")), answers);
			if (!withDoors) return waitFor(() => text() === "up\ntaken\n", "the server to be refused");
			const own = "until nc -w 2 127.0.0.1 80 < /dev/null 2> /dev/null; do sleep 0.02; done";
			// The server has its port again although connections by the same one are but just over.
			assert.deepEqual(await asked([own, ...questions, own].join(";")), ["own", ...answers, "own"]);
			assert.equal(text(), "up\n");
		});

	test("who has no listeners reaches nothing, not even a server of its own", async () => {
		const spec = contractSpec(harness.rootfs, ["sh", "-c", serve], { readonlyRoot: false });
		await using sandbox = await harness.runtime.create(spec);
		await sandbox.start();
		const { stdout } = await sandbox.exec({ ...spec, args: ["sh", "-c", questions.join(";")] });
		const lines = (await collect(stdout).ended).split("\n").slice(0, -1);
		assert.ok(
			lines.every((line) => line.endsWith(" refused")),
			lines.join(),
		);
	});

	test("no network lacks its door without a word, and the doctor has none", () => {
		assert.deepEqual(warnings, []);
		checkSocketLookup();
	});
}
