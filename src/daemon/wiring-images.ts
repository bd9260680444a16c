/** Images: the built-in registry's, and those that are pulled from others. */
import { homedir } from "node:os";
import { join } from "node:path";
import { RegistryClient } from "../adapters/registry-client/registry-client.ts";
import type { Lifetime } from "../base/lifetime.ts";
import type { BlobPins } from "../engine/images/blob-pins.ts";
import { Images, localRegistryMatcher } from "../engine/images/images.ts";
import type { WireInput } from "./daemon.ts";
import { dockerCredentials } from "./docker-credentials.ts";
import { portOf } from "./origin.ts";
import type { Storage } from "./wiring-storage.ts";

export function openImages(
	{ config, registryHost, accountId, clock, log }: WireInput,
	{ store, blobs, rootfs }: Storage,
	pins: BlobPins,
	lifetime: Lifetime,
	usedBy: (manifestDigest: string) => readonly string[],
): Images {
	const port = portOf(registryHost);
	const ecrName = `${accountId}.dkr.ecr.*.amazonaws.com`;
	const ourNames = [registryHost, `localhost${port}`, `127.0.0.1${port}`, ecrName, ...config.registryHosts];
	const dockerFolder = join(homedir(), ".docker");
	const remote = new RegistryClient({
		clock,
		log,
		random: Math.random,
		credentials: (host) => dockerCredentials(dockerFolder, host),
	});
	lifetime.use(remote);
	return new Images({
		blobs,
		repositories: store.repositories,
		rootfs,
		remote,
		isLocalRegistry: localRegistryMatcher(ourNames),
		localRegistry: registryHost,
		clock,
		log,
		pins,
		usedBy,
	});
}
