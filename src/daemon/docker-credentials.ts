/** The passwords that `docker login` keeps, for pulls from other registries. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SlipwayError, systemCode } from "../base/error.ts";

/** Docker Hub's key in the file, kept by docker for history's sake. */
const dockerHubKey = "https://index.docker.io/v1/";

/**
 * Reads `config.json` anew at each call, since logins come and go while the daemon runs. Credential helpers are programs of
 * the user's and are not run. INVALID when the file is not JSON.
 */
export async function dockerCredentials(
	folder: string,
	host: string,
): Promise<{ username: string; password: string } | undefined> {
	const path = join(folder, "config.json");
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "EACCES") return undefined;
		throw error;
	}
	let auths: Record<string, { auth?: unknown }>;
	try {
		auths = (JSON.parse(text) as { auths?: typeof auths }).auths ?? {};
	} catch (error) {
		throw new SlipwayError("INVALID", `${path} is not JSON: docker keeps logins there`, { cause: error });
	}
	const entry = auths[host] ?? auths[`https://${host}`] ?? (host === "docker.io" ? auths[dockerHubKey] : undefined);
	if (typeof entry?.auth !== "string") return undefined;
	const pair = Buffer.from(entry.auth, "base64").toString();
	const colon = pair.indexOf(":");
	return colon < 0 ? undefined : { username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}
