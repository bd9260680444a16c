import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { fromSystemError, systemCode } from "../../base/error.ts";
import type { KeyPair } from "./x509.ts";

/** Undefined when there is none. */
export async function readOptional(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

/** Whole or not at all, and readable by nobody else from its first byte on. */
export async function writePrivate(path: string, text: string): Promise<void> {
	try {
		await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	} catch (error) {
		throw fromSystemError(error, `making ${dirname(path)}`);
	}
	await writeFileAtomic(path, text, 0o600);
}

/** Certificate chain and key in one file, so that they always belong together. */
export function writePair(path: string, { cert, key }: KeyPair): Promise<void> {
	return writePrivate(path, `${key.trim()}\n${cert.trim()}\n`);
}

export async function readPair(path: string): Promise<KeyPair | undefined> {
	const text = await readOptional(path);
	const key = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/.exec(text ?? "")?.[0];
	const certs = text?.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
	return key !== undefined && certs ? { key, cert: certs.join("\n") } : undefined;
}
