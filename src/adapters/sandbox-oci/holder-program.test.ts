/** The holder's machine code for arm64, which this machine may not be: by the encodings of the Arm ARM (C6.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { holderProgram } from "./holder-program.ts";
import { CODE_ADDRESS } from "./tiny-elf.ts";

const root = "/an/empty folder";
const file = holderProgram("arm64", root)!;
const headers = CODE_ADDRESS - 0x400000;
const at = (address: number) => address - 0x400000;

interface Call {
	number: number;
	args: number[];
}

/** Runs it with the results that the system calls are to have; one past the last ends it. */
function run(results: readonly number[]): Call[] {
	const x = Array.from({ length: 9 }, () => 0);
	const calls: Call[] = [];
	for (let pc = headers; ; pc += 4) {
		const word = file.readUInt32LE(pc);
		const [register, imm16] = [word & 0x1f, (word >>> 5) & 0xffff];
		if (word >>> 21 === 0xd2800000 >>> 21)
			x[register] = imm16; // movz
		else if (word >>> 21 === 0xf2a00000 >>> 21)
			x[register] = x[register]! + imm16 * 0x10000; // movk, lsl #16
		else if (word === 0x910003e1)
			x[1] = -1; // mov x1, sp
		else if (word >>> 24 === 0xb4) {
			// cbz
			if (x[register] === 0) pc += (((word >>> 5) & 0x7ffff) - 1) * 4;
		} else {
			assert.equal(word, 0xd4000001, `svc at ${pc.toString(16)}`);
			calls.push({ number: x[8]!, args: x.slice(0, 6) });
			const result = results[calls.length - 1];
			if (result === undefined) return calls;
			x[0] = result;
		}
	}
}

const text = (address: number) => file.toString("latin1", at(address), file.indexOf(0, at(address)));
const exitGroup = 94;

test("makes its calls one after the other, waits for the end of its input, and exits with 0", () => {
	const calls = run(Array.from({ length: 9 }, () => 0));
	assert.deepEqual(
		calls.map(({ number }) => number),
		// asm-generic/unistd.h: close_range, rt_sigaction, chroot, chdir, setgroups, setresgid, setresuid, prctl, read
		[436, 134, 51, 49, 159, 149, 147, 167, 63, exitGroup],
	);
	const args = (index: number, count: number) => calls[index]?.args.slice(0, count);
	assert.deepEqual(args(0, 3), [1, 0xffffffff, 0]);
	const [signal, action = 0, ...rest] = args(1, 4) ?? [];
	assert.deepEqual([signal, ...rest], [17, 0, 8]);
	const handler = Buffer.alloc(32);
	handler.writeUInt8(1); // SIG_IGN
	assert.deepEqual(file.subarray(at(action), at(action) + 32), handler);
	assert.equal(text(args(2, 1)![0]!), root);
	assert.equal(text(args(3, 1)![0]!), "/");
	assert.deepEqual(args(4, 2), [0, 0]);
	for (const index of [5, 6]) assert.deepEqual(args(index, 3), [0xfffffff0, 0xfffffff0, 0xfffffff0]);
	assert.deepEqual(args(7, 5), [4, 0, 0, 0, 0]);
	assert.deepEqual(args(8, 3), [0, -1, 1]);
	assert.deepEqual(args(9, 1), [0]);
});

test("exits with 1 at the first call that fails", () => {
	for (let good = 0; good < 8; good++) {
		const calls = run([...Array.from({ length: good }, () => 0), -1]);
		assert.equal(calls.length, good + 2);
		assert.deepEqual([calls.at(-1)?.number, calls.at(-1)?.args[0]], [exitGroup, 1]);
	}
});
