/**
 * Programs of a few hundred bytes that need no library, interpreter or compiler: to find out whether a machine can run a
 * container at all, also where it holds no static program to run.
 */

/** A system call's number and its arguments, at most six. */
export type TinyCall = readonly [number: number, ...args: (number | bigint)[]];

const BASE = 0x400000;
const HEADERS = 64 + 56;
/** Where the code of every program is in its memory. */
export const CODE_ADDRESS = BASE + HEADERS;
/** mov rdi/rsi/rdx/r10/r8/r9, imm64 (Intel SDM). */
const ARGUMENTS = [
	[0x48, 0xbf],
	[0x48, 0xbe],
	[0x48, 0xba],
	[0x49, 0xba],
	[0x49, 0xb8],
	[0x49, 0xb9],
];
const SYSCALL = [0x0f, 0x05];
/** e_machine of the ELF header. */
export const X86_64 = 62;
export const AARCH64 = 183;

/** A program that does nothing and exits with 0; undefined for machines it can't be written for. */
export function exitProgram(architecture: NodeJS.Architecture): Buffer | undefined {
	if (architecture === "x64") return syscallProgram([]);
	// mov x0, #0; mov x8, #93 (exit); svc #0
	if (architecture === "arm64") return elf(AARCH64, Buffer.from("000080d2a80b80d2010000d4", "hex"));
	return undefined;
}

/** x86-64: makes the calls one after the other, writes the result of each to stdout as eight bytes, and exits with 0. */
export function syscallProgram(calls: readonly TinyCall[]): Buffer {
	const code = calls.flatMap(([number, ...args]) => [
		...args.flatMap((value, at) => [...ARGUMENTS[at]!, ...bytes64(BigInt(value))]),
		...setNumber(number),
		...SYSCALL,
		0x50, // push rax
		...ARGUMENTS[0]!,
		...bytes64(1n),
		...[0x48, 0x89, 0xe6], // mov rsi, rsp
		...ARGUMENTS[2]!,
		...bytes64(8n),
		...setNumber(1),
		...SYSCALL,
		0x58, // pop rax
	]);
	return elf(X86_64, Buffer.from([...code, ...ARGUMENTS[0]!, ...bytes64(0n), ...setNumber(231), ...SYSCALL]));
}

/** mov eax, imm32 */
function setNumber(number: number): number[] {
	const buffer = Buffer.alloc(5, 0xb8);
	buffer.writeUInt32LE(number, 1);
	return [...buffer];
}

function bytes64(value: bigint): number[] {
	const buffer = Buffer.alloc(8);
	buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
	return [...buffer];
}

/** Zeroed memory that a program may write to; page-aligned, clear of the code. */
export interface ProgramMemory {
	address: number;
	bytes: number;
}

/** A static executable (elf(5)) whose code can't be written to and starts at CODE_ADDRESS when it has no `memory`. */
export function elf(machine: number, code: Buffer, memory?: ProgramMemory): Buffer {
	const headers = 64 + 56 * (memory ? 2 : 1);
	const size = headers + code.length;
	const header = Buffer.alloc(headers);
	header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	header.writeUInt16LE(2, 16); // ET_EXEC
	header.writeUInt16LE(machine, 18);
	header.writeUInt32LE(1, 20);
	header.writeBigUInt64LE(BigInt(BASE + headers), 24); // entry
	header.writeBigUInt64LE(64n, 32); // program headers
	header.writeUInt16LE(64, 52);
	header.writeUInt16LE(56, 54);
	header.writeUInt16LE(memory ? 2 : 1, 56);
	writeSegment(header, 64, { flags: READ | EXECUTE, address: BASE, fileBytes: size, bytes: size });
	if (memory) writeSegment(header, 64 + 56, { flags: READ | WRITE, fileBytes: 0, ...memory });
	return Buffer.concat([header, code]);
}

const [EXECUTE, WRITE, READ] = [1, 2, 4];

/** Elf64_Phdr: of a PT_LOAD whose file bytes, if it has any, are the file's first. */
function writeSegment(
	header: Buffer,
	at: number,
	segment: { flags: number; address: number; fileBytes: number; bytes: number },
): void {
	header.writeUInt32LE(1, at); // PT_LOAD
	header.writeUInt32LE(segment.flags, at + 4);
	header.writeBigUInt64LE(BigInt(segment.address), at + 16);
	header.writeBigUInt64LE(BigInt(segment.address), at + 24);
	header.writeBigUInt64LE(BigInt(segment.fileBytes), at + 32);
	header.writeBigUInt64LE(BigInt(segment.bytes), at + 40);
	header.writeBigUInt64LE(0x1000n, at + 48);
}
