import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { ANSWER_BYTES, CALL_BYTES, MAX_SCRIPT_BYTES, SCRIPT_ADDRESS } from "./launcher-program.ts";
import { LauncherScript } from "./launcher-script.ts";

const architectures = ["x64", "arm64"] as const;

/** What the launcher would see: the calls, and the memory that they point to. */
class Decoded {
	readonly calls: { number: number; args: bigint[]; mayFail: bigint }[] = [];
	readonly #memory: Buffer;
	readonly #taken: [start: number, end: number][] = [];

	constructor(sent: Buffer) {
		assert.equal(sent.readBigUInt64LE(0), BigInt(sent.length - 8));
		this.#memory = sent.subarray(8);
		const count = Number(this.#memory.readBigUInt64LE(0));
		this.#taken.push([0, 8 + count * CALL_BYTES]);
		for (let at = 8; at < 8 + count * CALL_BYTES; at += CALL_BYTES) {
			const words = Array.from({ length: 8 }, (_, word) => this.#memory.readBigUInt64LE(at + word * 8));
			this.calls.push({ number: Number(words[0]), args: words.slice(1, 7), mayFail: words[7]! });
		}
	}

	/** Aligned, inside of the script, and nobody else's. */
	bytes(pointer: bigint, length: number): Buffer {
		const at = Number(pointer) - SCRIPT_ADDRESS;
		assert.ok(at >= 0 && at + length <= this.#memory.length, `${pointer.toString(16)} is outside`);
		assert.equal(at % 8, 0, `${pointer.toString(16)} is not aligned`);
		for (const [start, end] of this.#taken) assert.ok(at + length <= start || at >= end, `${pointer} is taken`);
		this.#taken.push([at, at + length]);
		return this.#memory.subarray(at, at + length);
	}

	text(pointer: bigint): string {
		const at = Number(pointer) - SCRIPT_ADDRESS;
		const length = this.#memory.indexOf(0, at) - at;
		return this.bytes(pointer, length + 1).toString("utf8", 0, length);
	}

	/** Ends with a null pointer. */
	texts(pointer: bigint): string[] {
		const at = Number(pointer) - SCRIPT_ADDRESS;
		let count = 0;
		while (this.#memory.readBigUInt64LE(at + count * 8) !== 0n) count++;
		const list = Buffer.from(this.bytes(pointer, (count + 1) * 8));
		return Array.from({ length: count }, (_, index) => this.text(list.readBigUInt64LE(index * 8)));
	}
}

for (const [machine, architecture] of architectures.entries())
	test(`${architecture}: every pointer leads to what was given, and to nothing else`, () => {
		const args = ["", "one", "two words", "ü".repeat(501), "x".repeat(100_000)];
		const env = Array.from({ length: 300 }, (_, at) => `NAME_${at}=${"v".repeat(at)}`);
		const decoded = new Decoded(
			new LauncherScript()
				.call("execve", "/bin/π", args, env)
				.try("mount", 0, "/target", 0, 4096n, 0)
				.call("openat", -100, "", 2, 0)
				.call("seccomp", 1, 0, { fields: Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), pointer: Buffer.from("filter!!") })
				.call("execve", "/empty", [], [])
				.call("capset", Buffer.from("header.."), Buffer.alloc(24, 7))
				.encode(architecture),
		);
		const numbers = [
			[59, 221],
			[165, 40],
			[257, 56],
			[317, 277],
			[59, 221],
			[126, 91],
		].map((pair) => pair[machine]);
		assert.deepEqual(
			decoded.calls.map(({ number }) => number),
			numbers,
		);
		assert.deepEqual(
			decoded.calls.map(({ mayFail }) => mayFail),
			[0n, 1n, 0n, 0n, 0n, 0n],
		);
		const [execve, mount, openat, seccomp, empty, capset] = decoded.calls.map((call) => call.args);
		assert.equal(decoded.text(execve![0]!), "/bin/π");
		assert.deepEqual(decoded.texts(execve![1]!), args);
		assert.deepEqual(decoded.texts(execve![2]!), env);
		assert.equal(decoded.text(mount![1]!), "/target");
		assert.deepEqual([mount![0], ...mount!.slice(2)], [0n, 0n, 4096n, 0n, 0n]);
		assert.equal(BigInt.asIntN(64, openat![0]!), -100n);
		assert.equal(decoded.text(openat![1]!), "");
		const program = decoded.bytes(seccomp![2]!, 16);
		assert.equal(program.readUInt16LE(0), 3);
		assert.equal(decoded.bytes(program.readBigUInt64LE(8), 8).toString(), "filter!!");
		assert.deepEqual([decoded.texts(empty![1]!), decoded.texts(empty![2]!)], [[], []]);
		assert.equal(decoded.bytes(capset![0]!, 8).toString(), "header..");
		assert.deepEqual(decoded.bytes(capset![1]!, 24), Buffer.alloc(24, 7));
	});

test("what the kernel would not take is the image's fault, and its text is not told", () => {
	const invalid = (error: unknown) =>
		isSlipwayError(error, "INVALID_IMAGE") && error.reason === "InvalidEntrypoint" && !error.message.includes("secret");
	const encode = (env: string[]) => new LauncherScript().call("execve", "/bin/sh", ["sh"], env).encode();
	assert.throws(() => encode(["KEY=secret\0"]), invalid);
	assert.throws(() => encode(["secret".repeat(MAX_SCRIPT_BYTES / 6)]), invalid);
	const room = MAX_SCRIPT_BYTES - encode([""]).length + 8;
	assert.equal(encode(["x".repeat(room + 7)]).length, MAX_SCRIPT_BYTES + 8);
	assert.throws(() => encode(["x".repeat(room + 8)]), invalid);
});

test("an answer names the call that failed, or none; what is no answer is refused", () => {
	const script = new LauncherScript().call("chdir", "/here").call("mount", "a", "b", 0, 0n, 0);
	const answer = (index: bigint, result: number) => {
		const bytes = Buffer.alloc(ANSWER_BYTES);
		bytes.writeBigUInt64LE(index);
		bytes.writeBigInt64LE(BigInt(result), 8);
		return script.failure(bytes);
	};
	assert.equal(answer(2n, 0), undefined);
	assert.deepEqual(answer(0n, -2), { name: "chdir", texts: ["/here"], code: "ENOENT" });
	assert.deepEqual(answer(1n, -1), { name: "mount", texts: ["a", "b"], code: "EPERM" });
	assert.equal(answer(1n, -4000)?.code, "errno 4000");
	for (const index of [3n, 2n ** 63n, 2n ** 64n - 1n])
		assert.throws(
			() => answer(index, 0),
			(error) => isSlipwayError(error, "SANDBOX_FAILED"),
		);
});
