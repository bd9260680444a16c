/** The registry front on the real stores, on a random port of the loopback, with Basic authentication, in a temporary folder. */
import { timingSafeEqual } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FsBlobStore } from "../../../src/adapters/blobs-fs/fs-blob-store.ts";
import { SqliteStore } from "../../../src/adapters/store-sqlite/sqlite-store.ts";
import { SlipwayError } from "../../../src/base/error.ts";
import { randomIds } from "../../../src/base/ids.ts";
import { Lifetime } from "../../../src/base/lifetime.ts";
import type { Log } from "../../../src/base/log.ts";
import type { BlobStore } from "../../../src/core/image/blob-store.ts";
import type { RepositoryStore } from "../../../src/core/repository/repository-store.ts";
import {
	createRegistryFront,
	type PushEvent,
	type RegistryFrontOptions,
} from "../../../src/front/registry/registry-front.ts";

export interface RegistryUnderTest extends AsyncDisposable {
	/** `127.0.0.1:PORT`. */
	host: string;
	username: string;
	password: string;
	/** The value of an Authorization header. */
	authorization: string;
	blobs: BlobStore;
	repositories: RepositoryStore;
	pushes: PushEvent[];
	/** What the front logged at `error`. */
	errors: { message: string; fields: unknown }[];
}

export interface Answer {
	status: number;
	header(name: string): string | null;
	text: string;
	json(): Record<string, unknown>;
}

/** One request with credentials; `path` may be a Location or a Link target. */
export async function send(
	registry: RegistryUnderTest,
	method: string,
	path: string,
	body?: string,
	headers: Record<string, string> = {},
): Promise<Answer> {
	const response = await fetch(new URL(path, `http://${registry.host}`), {
		method,
		headers: { Authorization: registry.authorization, ...headers },
		...(body === undefined ? {} : { body: new Blob([body]) }),
	});
	const text = await response.text();
	const json = () => JSON.parse(text) as Record<string, unknown>;
	return { status: response.status, header: (name) => response.headers.get(name), text, json };
}

export async function startRegistry(options: Partial<RegistryFrontOptions> = {}): Promise<RegistryUnderTest> {
	const lifetime = new Lifetime();
	try {
		const folder = await mkdtemp(join(tmpdir(), "slipway-registry-"));
		lifetime.defer(() => rm(folder, { recursive: true, force: true }));
		const blobs = options.blobs ?? (await FsBlobStore.open({ root: join(folder, "blobs") }));
		const store = lifetime.use(await SqliteStore.open({ path: join(folder, "state.db") }));
		const repositories = options.repositories ?? store.repositories;
		const [username, password] = ["AWS", randomIds.hex(16)];
		const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
		const pushes: PushEvent[] = [];
		const errors: RegistryUnderTest["errors"] = [];
		const ignore = () => {};
		const log: Log = {
			debug: ignore,
			info: ignore,
			warn: ignore,
			error: (message, fields) => errors.push({ message, fields }),
		};
		const front = createRegistryFront({
			blobs,
			repositories,
			createOnPush: true,
			log,
			authorize: (request) => authenticate(request.headers.authorization, authorization),
			onPush: (event) => void pushes.push(event),
			...options,
		});
		const server = createServer({ requestTimeout: 0 }, (request, response) => void front(request, response));
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		lifetime.defer(() => {
			server.closeAllConnections();
			return new Promise<void>((resolve) => server.close(() => resolve()));
		});
		const { port } = server.address() as AddressInfo;
		const dispose = () => lifetime[Symbol.asyncDispose]();
		const known = { username, password, authorization, blobs, repositories, pushes, errors };
		return { host: `127.0.0.1:${port}`, ...known, [Symbol.asyncDispose]: dispose };
	} catch (error) {
		await lifetime[Symbol.asyncDispose]();
		throw error;
	}
}

function authenticate(header: string | undefined, expected: string): { name: string } {
	const [given, wanted] = [Buffer.from(header ?? ""), Buffer.from(expected)];
	if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
		throw new SlipwayError("UNAUTHENTICATED", "Log in first");
	return { name: "AWS" };
}
