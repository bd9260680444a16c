/** What must never be logged, printed or passed further than the part that needs it. */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { SlipwayError } from "../../base/error.ts";
import { type Credentials, loadOrCreateCredentials } from "../credentials.ts";
import type { Config } from "./config.ts";

export interface Secrets {
	credentials: Credentials;
	tls: { cert: string; key: string } | undefined;
}

/** The caller holds the home folder's lock. INVALID for a certificate that can't be used. */
export async function loadSecrets(config: Config, now: number): Promise<Secrets> {
	return { credentials: await loadOrCreateCredentials(config.home, now), tls: await loadTls(config.tls) };
}

async function loadTls(paths: Config["tls"]): Promise<Secrets["tls"]> {
	if (!paths) return undefined;
	const read = (name: string, path: string) =>
		readFile(path, "utf8").catch((error: Error) => {
			throw new SlipwayError("INVALID", `${name} '${path}' can't be read: ${error.message}`, { cause: error });
		});
	const tls = {
		cert: await read("SLIPWAY_TLS_CERT", paths.certPath),
		key: await read("SLIPWAY_TLS_KEY", paths.keyPath),
	};
	try {
		createSecureContext(tls);
	} catch (error) {
		throw new SlipwayError(
			"INVALID",
			`SLIPWAY_TLS_CERT and SLIPWAY_TLS_KEY can't be used together: ${(error as Error).message}`,
			{ cause: error },
		);
	}
	return tls;
}
