/**
 * The first process of every sandbox's process namespace, as a program of a few hundred bytes: it collects orphans, holds
 * the namespace until it is killed or the daemon is gone, and is nobody that the sandbox could get at. It
 *
 * 1. closes whatever it inherited but its standard input (Linux 5.9),
 * 2. ignores SIGCHLD, so that the kernel collects what the image orphans (wait(2), "ERRORS"),
 * 3. has an empty folder for its root: /proc/1/root leads nowhere, and /proc/1/mountinfo lists none of the host's mounts,
 * 4. gives up every group, user and capability of the daemon's, and may not be looked into (PR_SET_DUMPABLE),
 * 5. waits for the end of its standard input, a pipe whose other end only the daemon has.
 *
 * A call that fails ends it with 1, before anything of the image runs.
 */
import { AARCH64, CODE_ADDRESS, elf, X86_64 } from "./tiny-elf.ts";

/** No image has a user of this number: it is above what is given to users, and not the -1 and -2 that have a meaning. */
const HOLDER_ID = 0xfffffff0;
const SIGCHLD = 17;
const SIG_IGN = 1n;
const PR_SET_DUMPABLE = 4;
/** struct sigaction of the kernel: handler, flags, restorer, mask (rt_sigaction(2)). */
const SIGACTION_BYTES = 32;
const SIGSET_BYTES = 8;

type Call = "close_range" | "rt_sigaction" | "chroot" | "chdir" | "setgroups" | "setresgid" | "setresuid" | "prctl";

interface Machine {
	number: number;
	calls: Record<Call, number>;
	/** A call that must return 0, or the program ends with 1. */
	call(number: number, args: readonly number[]): Buffer;
	/** read(0, stack, 1), then exit_group(0). */
	waitForEndOfInput: Buffer;
}

/** `root` is an absolute path to an empty folder. Undefined for machines the program can't be written for. */
export function holderProgram(architecture: NodeJS.Architecture, root: string): Buffer | undefined {
	const machine = architecture === "x64" ? x64 : architecture === "arm64" ? arm64 : undefined;
	if (!machine) return undefined;
	const sigaction = Buffer.alloc(SIGACTION_BYTES);
	sigaction.writeBigUInt64LE(SIG_IGN);
	const data = Buffer.concat([sigaction, Buffer.from(`/\0${root}\0`)]);
	// Addresses take the same space whatever they are, so the code of the first pass is as long as that of the second.
	const length = codeOf(machine, 0).length;
	return elf(machine.number, Buffer.concat([codeOf(machine, CODE_ADDRESS + length), data]));
}

/** The code, with the data at an address. */
function codeOf({ calls, call, waitForEndOfInput }: Machine, data: number): Buffer {
	const slash = data + SIGACTION_BYTES;
	const root = slash + 2;
	return Buffer.concat([
		call(calls.close_range, [1, 0xffffffff, 0]),
		call(calls.rt_sigaction, [SIGCHLD, data, 0, SIGSET_BYTES]),
		call(calls.chroot, [root]),
		call(calls.chdir, [slash]),
		call(calls.setgroups, [0, 0]),
		call(calls.setresgid, [HOLDER_ID, HOLDER_ID, HOLDER_ID]),
		call(calls.setresuid, [HOLDER_ID, HOLDER_ID, HOLDER_ID]),
		call(calls.prctl, [PR_SET_DUMPABLE, 0, 0, 0, 0]),
		waitForEndOfInput,
	]);
}

/** mov edi/esi/edx/r10d/r8d, imm32 (Intel SDM): the upper half of the register becomes 0. */
const x64Arguments = ["bf", "be", "ba", "41ba", "41b8"];

const x64: Machine = {
	number: X86_64,
	calls: {
		close_range: 436,
		rt_sigaction: 13,
		chroot: 161,
		chdir: 80,
		setgroups: 116,
		setresgid: 119,
		setresuid: 117,
		prctl: 157,
	},
	call: (number, args) =>
		Buffer.concat([
			...args.map((value, at) => Buffer.concat([Buffer.from(x64Arguments[at]!, "hex"), word(value)])),
			Buffer.from("b8", "hex"), // mov eax, imm32
			word(number),
			Buffer.from("0f05", "hex"), // syscall
			Buffer.from("85c0740c", "hex"), // test eax, eax; jz past the next 12 bytes
			Buffer.from("bf01000000b8e70000000f05", "hex"), // exit_group(1)
		]),
	// xor edi, edi; mov rsi, rsp; mov edx, 1; xor eax, eax; syscall; xor edi, edi; mov eax, 231; syscall
	waitForEndOfInput: Buffer.from("31ff4889e6ba0100000031c00f0531ffb8e70000000f05", "hex"),
};

const SVC = 0xd4000001;
const EXIT_GROUP = 94;
const READ = 63;

const arm64: Machine = {
	number: AARCH64,
	calls: {
		close_range: 436,
		rt_sigaction: 134,
		chroot: 51,
		chdir: 49,
		setgroups: 159,
		setresgid: 149,
		setresuid: 147,
		prctl: 167,
	},
	call: (number, args) =>
		Buffer.concat([
			...args.map((value, register) => setRegister(register, value)),
			setRegister(8, number),
			word(SVC),
			word(0xb4000000 | ((1 + 5) << 5)), // cbz x0, past the exit's five instructions
			setRegister(0, 1),
			setRegister(8, EXIT_GROUP),
			word(SVC),
		]),
	waitForEndOfInput: Buffer.concat([
		setRegister(0, 0),
		word(0x910003e1), // mov x1, sp
		setRegister(2, 1),
		setRegister(8, READ),
		word(SVC),
		setRegister(0, 0),
		setRegister(8, EXIT_GROUP),
		word(SVC),
	]),
};

/** movz and movk: two instructions, whatever the value (Arm ARM, C6.2). */
function setRegister(register: number, value: number): Buffer {
	const low = 0xd2800000 | ((value & 0xffff) << 5) | register;
	const high = 0xf2a00000 | (((value >>> 16) & 0xffff) << 5) | register;
	return Buffer.concat([word(low >>> 0), word(high >>> 0)]);
}

function word(value: number): Buffer {
	const buffer = Buffer.alloc(4);
	buffer.writeUInt32LE(value >>> 0);
	return buffer;
}
