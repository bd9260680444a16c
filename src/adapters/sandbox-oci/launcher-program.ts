/**
 * The program that waits in every blank sandbox: it receives scripts of system calls over descriptor 3 and makes them, one
 * after the other, until one of them executes the image's program in its place. So what a sandbox becomes is decided by the
 * daemon when an event comes, long after the runtime program has made it.
 *
 * A script is a count of bytes (u64) and that many bytes: the count of calls (u64), the calls, then whatever they point to.
 * A call is eight u64: its number, six arguments, and whether its failure is of no account. Everything lies at SCRIPT_ADDRESS
 * while it runs, so that pointers are absolute. After the last call, or the first that fails, it answers with two u64: the
 * index of that call (the count after the last), and its result (-errno, or 0). At the end of its input it exits with 1.
 *
 * Written in assembler and kept as bytes, because no machine that Slipway runs on need have a compiler.
 */
import { AARCH64, elf, X86_64 } from "./tiny-elf.ts";

/** Where the program keeps a count and its answer; the script follows. */
const STATE_ADDRESS = 0x500000;
export const SCRIPT_ADDRESS = STATE_ADDRESS + 16;
/** Room for arguments and environment as large as the kernel takes by default (execve(2): a quarter of an 8 MiB stack). */
export const MAX_SCRIPT_BYTES = 2 << 20;
export const CALL_BYTES = 64;
export const ANSWER_BYTES = 16;
/** The descriptor it talks over. */
export const CHANNEL = 3;
/** Where it has itself open when it is not in the sandbox's file system. */
export const LAUNCHER_FILE = 4;

/**
 * next:    r13 = STATE; r14 = 8; call receive       # the count of bytes
 *          r14 = [STATE]; r13 = SCRIPT; call receive
 *          rbx = [SCRIPT]; r12 = SCRIPT + 8; ebp = 0
 * step:    eax = 0; if (rbp >= rbx) goto report
 *          rax, rdi, rsi, rdx, r10, r8, r9 = [r12 .. r12 + 48]; syscall
 *          if (rax < -4095, unsigned || [r12 + 56]) { rbp++; r12 += 64; goto step }
 * report:  [STATE] = rbp; [STATE + 8] = rax; write(3, STATE, 16); goto next
 * receive: while (r14) { rax = read(3, r13, r14); if (rax <= 0) exit_group(1); r13 += rax; r14 -= rax }; ret
 */
const x64 = Buffer.from(
	"41bd0000500041be08000000e8920000004c8b34250000500041bd10005000e8" +
		"7f000000488b1c251000500041bc1800500031ed31c04839dd733d498b042449" +
		"8b7c2408498b742410498b5424184d8b5424204d8b4424284d8b4c24300f0548" +
		"3d01f0ffff720849837c243800740948ffc54983c440ebbc48892c2500005000" +
		"4889042508005000bf03000000be00005000ba10000000b8010000000f05e95d" +
		"ffffff4d85f67428bf030000004c89ee4c89f231c00f054885c07f0cbf010000" +
		"00b8e70000000f054901c54929c6ebd3c3",
	"hex",
);

/** The same, with x19 and x20 for what is received, x21 the count, x22 the call, x23 its index, x24 its flag. */
const arm64 = Buffer.from(
	"130aa0d2140180d21d000094130aa0d2740240f973420091f60313aa18000094" +
		"d58640f8170080d2000080d2ff0215eb82010054c80240a9c10a41a9c31242a9" +
		"c56243a9010000d41ffc3fb143000054980000b4f7060091d6020191f3ffff17" +
		"010aa0d2370000a9600080d2020280d2080880d2010000d4e2ffff17d40100b4" +
		"600080d2e10313aae20314aae80780d2010000d41f0000f18c000054200080d2" +
		"c80b80d2010000d47302008b940200cbf3ffff17c0035fd6",
	"hex",
);

/** Undefined for machines it has not been written for. */
export function launcherProgram(architecture: NodeJS.Architecture): Buffer | undefined {
	const memory = { address: STATE_ADDRESS, bytes: SCRIPT_ADDRESS - STATE_ADDRESS + MAX_SCRIPT_BYTES };
	if (architecture === "x64") return elf(X86_64, x64, memory);
	if (architecture === "arm64") return elf(AARCH64, arm64, memory);
	return undefined;
}
