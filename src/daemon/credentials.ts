/** The keys of this installation, made once from the system's randomness. There is no default anybody could know. */
import { randomInt } from "node:crypto";
import { chmod, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { fromSystemError, SlipwayError, systemCode } from "../base/error.ts";
import { credentialsFile } from "../client/local.ts";

const schema = z.object({
	/** Of the AWS APIs: 20 characters, as AWS issues them. */
	accessKeyId: z.string().regex(/^AKIA[A-Z2-7]{16}$/),
	secretAccessKey: z.string().regex(/^[A-Za-z0-9]{40}$/),
	/** Bearer token of the native API; also a registry password. */
	token: z.string().regex(/^slw_[A-Za-z0-9]{43}$/),
	/** Password of the registry user `AWS`. */
	registryPassword: z.string().regex(/^[A-Za-z0-9]{43}$/),
	accountId: z.string().regex(/^\d{12}$/),
	createdMs: z.number(),
});
export type Credentials = z.infer<typeof schema>;

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** `length` characters of `alphabet`, evenly distributed. */
function random(alphabet: string, length: number): string {
	let text = "";
	for (let index = 0; index < length; index++) text += alphabet[randomInt(alphabet.length)];
	return text;
}

/** 43 characters of base62 are 256 bits; the secret's 40 are 238. Letters and digits only: safe in every shell and header. */
export function createCredentials(now: number): Credentials {
	return {
		accessKeyId: `AKIA${random(base32, 16)}`,
		secretAccessKey: random(base62, 40),
		token: `slw_${random(base62, 43)}`,
		registryPassword: random(base62, 43),
		accountId: `${randomInt(1, 10)}${random("0123456789", 11)}`,
		createdMs: now,
	};
}

/** For the process that holds the home folder's lock. A damaged file is an error, never silently replaced: keys are in use elsewhere. */
export async function loadOrCreateCredentials(home: string, now: number): Promise<Credentials> {
	const path = join(home, credentialsFile);
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw fromSystemError(error, `reading ${path}`);
		const credentials = createCredentials(now);
		await writeFileAtomic(path, `${JSON.stringify(credentials, null, "\t")}\n`, 0o600);
		return credentials;
	}
	const mode = (await stat(path)).mode & 0o777;
	if ((mode & 0o077) !== 0) await chmod(path, 0o600);
	return parse(text, path);
}

function parse(text: string, path: string): Credentials {
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch {
		json = undefined; // The check below words the refusal; the parser's message would quote the secret.
	}
	const parsed = schema.safeParse(json);
	if (parsed.success) return parsed.data;
	throw new SlipwayError("INVALID", `${path} is damaged: it does not hold credentials of the expected form`, {
		hint: "Restore the file, or move it away to have new credentials made",
	});
}
