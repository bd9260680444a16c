import ffi from "node:ffi";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import type { SeccompProfile, SeccompRule } from "./seccomp-profile.ts";

/** Of libseccomp (seccomp_init(3), seccomp_rule_add(3), seccomp_attr_set(3)), which crun and runc need themselves. */
const LIBRARY = "libseccomp.so.2";
const SCMP_ACT_ALLOW = 0x7fff0000;
const SCMP_ACT_ERRNO = 0x00050000;
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const BINARY_TREE = 2;
const compares = { SCMP_CMP_NE: 1, SCMP_CMP_EQ: 4, SCMP_CMP_GT: 6, SCMP_CMP_MASKED_EQ: 7 } as const;
/** struct scmp_arg_cmp: arg (u32), op (enum), datum_a, datum_b (u64). */
const ARGUMENT_BYTES = 24;
/** struct sock_filter (kernel: userspace-api/seccomp_filter.rst). */
export const INSTRUCTION_BYTES = 8;

/**
 * The profile as the kernel takes it, a program of `struct sock_filter`s, for this machine's architecture alone. Sorted as
 * a binary tree: a system call then passes some ten instructions, not half of all. UNAVAILABLE without libseccomp.
 */
export function seccompFilter(profile: SeccompProfile): Buffer {
	const library = openLibrary();
	const must = (what: string, result: number) => {
		if (result < 0) throw new SlipwayError("UNAVAILABLE", `libseccomp: ${what} failed (${result})`);
	};
	const otherwise = SCMP_ACT_ERRNO | profile.defaultErrnoRet;
	const context = library.seccomp_init(otherwise);
	if (context === 0n) throw new SlipwayError("UNAVAILABLE", "libseccomp: seccomp_init failed");
	try {
		must("seccomp_attr_set", library.seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE));
		for (const rule of profile.syscalls) {
			const action = actionOf(rule);
			// The library refuses what the default does anyway.
			if (action === otherwise) continue;
			const args = Buffer.concat((rule.args ?? []).map(argumentBytes));
			for (const name of rule.names) {
				const number = library.seccomp_syscall_resolve_name(name);
				// Negative: the machine has no such call, or the library does not know it, as runtime programs pass over them too.
				if (number < 0) continue;
				const count = args.length / ARGUMENT_BYTES;
				must(
					name,
					library.seccomp_rule_add_array(
						context,
						action,
						number,
						count,
						args.length > 0 ? args : Buffer.alloc(ARGUMENT_BYTES),
					),
				);
			}
		}
		return exported((fd) => must("seccomp_export_bpf", library.seccomp_export_bpf(context, fd)));
	} finally {
		library.seccomp_release(context);
	}
}

function openLibrary() {
	const [u32, i32] = ["uint32", "int32"] as const;
	try {
		return ffi.dlopen(LIBRARY, {
			seccomp_init: { return: "pointer", arguments: [u32] },
			seccomp_release: { return: "void", arguments: ["pointer"] },
			seccomp_attr_set: { return: i32, arguments: ["pointer", u32, u32] },
			seccomp_syscall_resolve_name: { return: i32, arguments: ["string"] },
			seccomp_rule_add_array: { return: i32, arguments: ["pointer", u32, i32, u32, "buffer"] },
			seccomp_export_bpf: { return: i32, arguments: ["pointer", i32] },
		}).functions;
	} catch (error) {
		throw new SlipwayError("UNAVAILABLE", `Could not load ${LIBRARY}`, {
			cause: error,
			hint: "Install it (on Debian: apt install libseccomp2)",
		});
	}
}

function actionOf(rule: SeccompRule): number {
	return rule.action === "SCMP_ACT_ALLOW" ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO | (rule.errnoRet ?? 1);
}

function argumentBytes({ index, op, value, valueTwo }: NonNullable<SeccompRule["args"]>[number]): Buffer {
	const bytes = Buffer.alloc(ARGUMENT_BYTES);
	bytes.writeUInt32LE(index, 0);
	bytes.writeUInt32LE(compares[op], 4);
	bytes.writeBigUInt64LE(BigInt(value), 8);
	bytes.writeBigUInt64LE(BigInt(valueTwo ?? 0), 16);
	return bytes;
}

/** The library writes to a descriptor. */
function exported(write: (fd: number) => void): Buffer {
	const folder = mkdtempSync(join(tmpdir(), "slipway-seccomp-"));
	try {
		const file = join(folder, "filter");
		const fd = openSync(file, "w", 0o600);
		try {
			write(fd);
		} finally {
			closeSync(fd);
		}
		return readFileSync(file);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
