import { constants } from "node:os";
import { SlipwayError } from "../../base/error.ts";
import { CALL_BYTES, MAX_SCRIPT_BYTES, SCRIPT_ADDRESS } from "./launcher-program.ts";

/** Of the two machines' tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const callNumbers = {
	mount: [165, 40],
	umount2: [166, 39],
	pivot_root: [155, 41],
	chdir: [80, 49],
	openat: [257, 56],
	close: [3, 57],
	fcntl: [72, 25],
	fchown: [93, 55],
	prlimit64: [302, 261],
	prctl: [157, 167],
	setgroups: [116, 159],
	setresgid: [119, 149],
	setresuid: [117, 147],
	capset: [126, 91],
	seccomp: [317, 277],
	execve: [59, 221],
} as const satisfies Record<string, readonly [x64: number, arm64: number]>;

export type CallName = keyof typeof callNumbers;

/**
 * What a call is given: a number, bytes to point to (a string ends with a zero byte), a list of pointers to strings that
 * ends with 0, or a structure of a few bytes and one pointer.
 */
export type CallArgument = number | bigint | string | Buffer | readonly string[] | { fields: Buffer; pointer: Buffer };

interface Call {
	name: CallName;
	args: readonly CallArgument[];
	mayFail: boolean;
}

/** The call that failed. */
export interface ScriptFailure {
	name: CallName;
	/** Its text arguments, for messages. */
	texts: readonly string[];
	/** "ENOENT" */
	code: string;
}

const errorNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** System calls for the launcher to make, in order. */
export class LauncherScript {
	readonly #calls: Call[] = [];

	call(name: CallName, ...args: CallArgument[]): this {
		this.#calls.push({ name, args, mayFail: false });
		return this;
	}

	/** One whose failure is of no account. */
	try(name: CallName, ...args: CallArgument[]): this {
		this.#calls.push({ name, args, mayFail: true });
		return this;
	}

	/** What goes over the channel. INVALID_IMAGE when it is larger than the kernel would take. */
	encode(architecture: NodeJS.Architecture = process.arch): Buffer {
		const machine = architecture === "arm64" ? 1 : 0;
		const head = Buffer.alloc(8 + 8 + this.#calls.length * CALL_BYTES);
		const data = new ScriptData(SCRIPT_ADDRESS + head.length - 8);
		head.writeBigUInt64LE(BigInt(this.#calls.length), 8);
		for (const [index, { name, args, mayFail }] of this.#calls.entries()) {
			const at = 16 + index * CALL_BYTES;
			head.writeBigUInt64LE(BigInt(callNumbers[name][machine]), at);
			for (const [position, argument] of args.entries())
				head.writeBigUInt64LE(data.valueOf(argument), at + 8 * (1 + position));
			head.writeBigUInt64LE(mayFail ? 1n : 0n, at + CALL_BYTES - 8);
		}
		const script = Buffer.concat([head, ...data.parts]);
		if (script.length - 8 > MAX_SCRIPT_BYTES)
			throw new SlipwayError("INVALID_IMAGE", "Arguments and environment are larger than Linux takes (E2BIG)", {
				reason: "InvalidEntrypoint",
			});
		script.writeBigUInt64LE(BigInt(script.length - 8), 0);
		return script;
	}

	/** Undefined when every call was made; SANDBOX_FAILED when it is no answer to this script. */
	failure(answer: Buffer): ScriptFailure | undefined {
		const index = answer.readBigUInt64LE(0);
		if (index === BigInt(this.#calls.length)) return undefined;
		const call = this.#calls[Number(index)];
		if (!call) throw new SlipwayError("SANDBOX_FAILED", "The sandbox's first process answers wrongly");
		const errno = Number(-answer.readBigInt64LE(8));
		const texts = call.args.filter((argument) => typeof argument === "string");
		return { name: call.name, texts, code: errorNames.get(errno) ?? `errno ${errno}` };
	}
}

function cString(text: string): Buffer {
	if (!text.includes("\0")) return Buffer.from(`${text}\0`);
	// Not its text, which may be a secret.
	throw new SlipwayError("INVALID_IMAGE", "Arguments and environment can't have a NUL in them", {
		reason: "InvalidEntrypoint",
	});
}

/** What the calls of one script point to, and where it lies. */
class ScriptData {
	readonly parts: Buffer[] = [];
	#address: number;

	constructor(address: number) {
		this.#address = address;
	}

	/** As the kernel takes it: the number itself, or the address of what was laid down. */
	valueOf(argument: CallArgument): bigint {
		if (typeof argument === "number" || typeof argument === "bigint") return BigInt.asUintN(64, BigInt(argument));
		if (typeof argument === "string") return this.#lay(cString(argument));
		if (Buffer.isBuffer(argument)) return this.#lay(argument);
		if ("fields" in argument) {
			const pointer = Buffer.alloc(8);
			pointer.writeBigUInt64LE(this.#lay(argument.pointer));
			return this.#lay(Buffer.concat([argument.fields, pointer]));
		}
		const pointers = Buffer.alloc(8 * (argument.length + 1));
		for (const [index, text] of argument.entries()) pointers.writeBigUInt64LE(this.valueOf(text), 8 * index);
		return this.#lay(pointers);
	}

	#lay(bytes: Buffer): bigint {
		const address = this.#address;
		const padding = -bytes.length & 7;
		this.parts.push(bytes, Buffer.alloc(padding));
		this.#address += bytes.length + padding;
		return BigInt(address);
	}
}
