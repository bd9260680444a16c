import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { type Digest, digestAlgorithm, isDigest } from "../../core/image/digest.ts";
import { indexMediaTypes, manifestMediaTypes, maxManifestBytes } from "../../core/image/manifest.ts";
import { formatReference, type Reference } from "../../core/image/reference.ts";
import type { RemoteRegistry } from "../../core/image/remote-registry.ts";
import { Authenticator, type CredentialSource } from "./authenticator.ts";
import { checkLink, type Endpoint, endpointOf } from "./endpoint.ts";
import { defaultLimits, type RegistryLimits } from "./limits.ts";
import { isTransient, isTransientStatus, parseRetryAfter, retryDelay, TransientError } from "./retry.ts";
import { Transport } from "./transport.ts";

export interface RegistryClientOptions {
	clock: Clock;
	log: Log;
	/** In [0, 1); spreads the retries of many clients. */
	random: () => number;
	/** By the host that references name; "docker.io" for Docker's registry. */
	credentials?: CredentialSource;
	/** Hosts (with their port, if any) that may be spoken to without TLS. This machine's loopback always may. */
	insecureHosts?: readonly string[];
	/** PEM certificates to trust instead of the system's. */
	ca?: string;
	limits?: Partial<RegistryLimits>;
}

const acceptedManifests = [...manifestMediaTypes, ...indexMediaTypes].join(", ");

/** OCI distribution-spec 1.1, the pulling half, over HTTP. */
export class RegistryClient implements RemoteRegistry, Disposable {
	readonly #clock: Clock;
	readonly #log: Log;
	readonly #random: () => number;
	readonly #insecureHosts: ReadonlySet<string>;
	readonly #limits: RegistryLimits;
	readonly #transport: Transport;
	readonly #authenticator: Authenticator;

	constructor(options: RegistryClientOptions) {
		this.#clock = options.clock;
		this.#log = options.log;
		this.#random = options.random;
		this.#insecureHosts = new Set(options.insecureHosts?.map((host) => host.toLowerCase()));
		this.#limits = { ...defaultLimits, ...options.limits };
		this.#transport = new Transport({ clock: options.clock, limits: this.#limits, ca: options.ca });
		this.#authenticator = new Authenticator({
			transport: this.#transport,
			credentials: options.credentials ?? (() => undefined),
			insecureHosts: this.#insecureHosts,
			clock: options.clock,
			limits: this.#limits,
		});
	}

	async fetchManifest(
		reference: Reference,
		signal?: AbortSignal,
	): Promise<{ bytes: Uint8Array; mediaType: string; digest: Digest }> {
		const endpoint = endpointOf(reference, this.#insecureHosts);
		const path = `manifests/${reference.digest ?? reference.tag ?? "latest"}`;
		const name = formatReference(reference);
		return this.#retrying(name, signal, async () => {
			const response = await this.#request(endpoint, path, { accept: acceptedManifests }, signal);
			await this.#expect(response, [200], name, signal);
			const bytes = await this.#transport.read(response, maxManifestBytes, signal);
			const announced = response.headers["docker-content-digest"];
			const expected =
				reference.digest ?? (typeof announced === "string" && isDigest(announced) ? announced : undefined);
			const algorithm = expected ? digestAlgorithm(expected) : "sha256";
			const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;
			if (expected && digest !== expected)
				throw new SlipwayError("DIGEST_MISMATCH", `Manifest of ${name} has the digest ${digest}, not ${expected}`);
			return { bytes, mediaType: mediaTypeOf(response, bytes), digest };
		});
	}

	async fetchBlob(reference: Reference, digest: Digest, size: number, signal?: AbortSignal): Promise<Readable> {
		const endpoint = endpointOf(reference, this.#insecureHosts);
		const name = `${reference.registry}/${reference.repository}@${digest}`;
		const stop = new AbortController();
		const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
		const open = (offset: number) => this.#openBlob(endpoint, { name, digest, size, offset }, both);
		const first = await this.#retrying(name, both, () => open(0));
		return new PulledStream(this.#resuming(first, open, { name, size }, both), stop);
	}

	/** A response whose body starts at `offset`, or before it where the server does not do ranges (`skip` bytes before). */
	async #openBlob(
		endpoint: Endpoint,
		blob: { name: string; digest: Digest; size: number; offset: number },
		signal: AbortSignal,
	): Promise<{ response: IncomingMessage; skip: number }> {
		const headers: Record<string, string> = blob.offset > 0 ? { range: `bytes=${blob.offset}-` } : {};
		const response = await this.#request(endpoint, `blobs/${blob.digest}`, headers, signal);
		await this.#expect(response, [200, 206], blob.name, signal);
		const length = response.headers["content-length"];
		const skip = response.statusCode === 206 ? 0 : blob.offset;
		const expected = blob.size - blob.offset + skip;
		const refuse = (error: Error): never => {
			response.destroy();
			throw error;
		};
		if (length !== undefined && Number(length) !== expected)
			refuse(
				new SlipwayError("DIGEST_MISMATCH", `Blob ${blob.name} has ${length} bytes to come, and not ${expected}`, {
					reason: "SizeMismatch",
				}),
			);
		if (response.statusCode === 206) {
			const start = /^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1];
			if (start === undefined || Number(start) !== blob.offset)
				refuse(
					new TransientError(
						`${blob.name}: asked for byte ${blob.offset} on, got '${response.headers["content-range"]}'`,
					),
				);
		}
		return { response, skip };
	}

	/** The blob's bytes from one response after the other, each taken up where the one before broke off. */
	async *#resuming(
		first: { response: IncomingMessage; skip: number },
		open: (offset: number) => Promise<{ response: IncomingMessage; skip: number }>,
		blob: { name: string; size: number },
		signal: AbortSignal,
	): AsyncGenerator<Buffer, void> {
		let offset = 0;
		let current: { response: IncomingMessage; skip: number } | undefined = first;
		for (let attempt = 1, resumes = 0; ; attempt++, resumes++) {
			const startedAt = offset;
			try {
				current ??= await open(offset);
				for await (const chunk of this.#withoutPrefix(current, signal)) {
					if (offset + chunk.length > blob.size)
						throw new SlipwayError("DIGEST_MISMATCH", `Blob ${blob.name} is larger than its ${blob.size} bytes`, {
							reason: "SizeMismatch",
						});
					offset += chunk.length;
					yield chunk;
				}
				if (offset === blob.size) return;
				throw new TransientError(`The transfer ended after ${offset} of ${blob.size} bytes`);
			} catch (error) {
				if (offset === blob.size && isTransient(error)) return;
				if (offset > startedAt) attempt = 1;
				if (resumes >= this.#limits.resumes) throw this.#giveUp(blob.name, error);
				await this.#pause(blob.name, attempt, error, signal);
			}
			current = undefined;
		}
	}

	async *#withoutPrefix(
		from: { response: IncomingMessage; skip: number },
		signal: AbortSignal,
	): AsyncGenerator<Buffer, void> {
		let skip = from.skip;
		for await (const chunk of this.#transport.body(from.response, signal)) {
			const rest = chunk.subarray(Math.min(skip, chunk.length));
			skip -= chunk.length - rest.length;
			if (rest.length > 0) yield rest;
		}
	}

	async #retrying<T>(name: string, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			try {
				return await task();
			} catch (error) {
				await this.#pause(name, attempt, error, signal);
			}
		}
	}

	/** Sleeps before the next try, or throws what the caller shall see. */
	async #pause(name: string, attempt: number, error: unknown, signal: AbortSignal | undefined): Promise<void> {
		signal?.throwIfAborted();
		const delayMs = retryDelay(attempt, error, this.#random(), this.#limits);
		if (delayMs === undefined) throw this.#giveUp(name, error);
		this.#log.debug("Registry request is tried again", { name, attempt, delayMs, error });
		await this.#clock.sleep(delayMs, signal);
	}

	#giveUp(name: string, error: unknown): unknown {
		if (isSlipwayError(error) || !isTransient(error)) return error;
		const retryAfterMs = error instanceof TransientError ? error.retryAfterMs : undefined;
		return new SlipwayError("UNAVAILABLE", `${name} could not be read: ${(error as Error).message}`, {
			cause: error,
			...(retryAfterMs === undefined ? {} : { retryAfterMs }),
		});
	}

	/** One GET below /v2/<name>/, with the answer to its challenge and the redirects it takes. */
	async #request(
		endpoint: Endpoint,
		path: string,
		headers: Record<string, string>,
		signal: AbortSignal | undefined,
	): Promise<IncomingMessage> {
		const url = new URL(`${endpoint.origin}/v2/${endpoint.repository}/${path}`);
		const key = `${url.host} ${endpoint.repository}`;
		let authorization = await this.#authenticator.current(key);
		// Twice: a token that was kept may have ended, a new one that is refused is refused.
		for (let answers = 0; ; answers++) {
			const { response } = await this.#follow(url, headers, authorization, signal);
			const header = response.headers["www-authenticate"];
			if (response.statusCode !== 401 || header === undefined || answers === 2) return response;
			response.destroy();
			const { credentialHost } = endpoint;
			const scope = `repository:${endpoint.repository}:pull`;
			const challenge = { url, credentialHost, scope, header, refused: authorization };
			authorization = await this.#authenticator.answer(key, challenge, signal);
		}
	}

	/** The Authorization header goes to the registry's own origin only (RFC 9110 15.4; blob storage is somebody else's). */
	async #follow(
		start: URL,
		headers: Record<string, string>,
		authorization: string | undefined,
		signal: AbortSignal | undefined,
	): Promise<{ response: IncomingMessage }> {
		let url = start;
		for (let redirects = 0; ; redirects++) {
			const mayAuthorize = url.origin === start.origin && authorization !== undefined;
			const sent = mayAuthorize ? { ...headers, authorization } : headers;
			const response = await this.#transport.get(url, sent, signal);
			const location = response.headers.location;
			if (![301, 302, 303, 307, 308].includes(response.statusCode ?? 0) || location === undefined) {
				if (url.origin === start.origin || response.statusCode !== 403) return { response };
				response.destroy();
				// A signed link to storage that has run out: the registry makes a new one.
				throw new TransientError(`${url.host} refused a link that ${start.host} gave`);
			}
			response.destroy();
			if (redirects === this.#limits.redirects)
				throw new SlipwayError("UNAVAILABLE", `${start.host} redirects more than ${this.#limits.redirects} times`);
			url = checkLink(location, url, this.#insecureHosts);
		}
	}

	async #expect(
		response: IncomingMessage,
		statuses: readonly number[],
		name: string,
		signal: AbortSignal | undefined,
	): Promise<void> {
		const status = response.statusCode ?? 0;
		if (statuses.includes(status)) return;
		const retryAfterMs = parseRetryAfter(response.headers["retry-after"], this.#clock.now());
		if (isTransientStatus(status)) {
			response.destroy();
			throw new TransientError(`the registry answered ${status}`, retryAfterMs === undefined ? {} : { retryAfterMs });
		}
		const body = await this.#transport.read(response, this.#limits.smallBodyBytes, signal).catch(() => Buffer.alloc(0));
		const said = saidBy(body);
		const because = said === undefined ? "" : `: ${said}`;
		if (status === 404) throw new SlipwayError("NOT_FOUND", `${name} does not exist${because}`);
		if (status === 401) throw new SlipwayError("UNAUTHENTICATED", `${name} may not be read without a login${because}`);
		if (status === 403) throw new SlipwayError("FORBIDDEN", `${name} may not be read${because}`);
		throw new SlipwayError("UNAVAILABLE", `${name} could not be read: the registry answered ${status}${because}`);
	}

	[Symbol.dispose](): void {
		this.#transport[Symbol.dispose]();
	}
}

/** The first message of a distribution-spec error body ("Error Codes"), shortened. */
function saidBy(body: Buffer): string | undefined {
	const text = body.toString("utf8");
	const message = /"message"\s*:\s*"((?:[^"\\]|\\.){1,300})/.exec(text)?.[1];
	return message?.replace(/[\x00-\x1f\x7f]/g, " ");
}

/** Some registries send manifests as plain JSON; then the document says what it is. parseManifest checks the two against each other. */
function mediaTypeOf(response: IncomingMessage, bytes: Buffer): string {
	const sent = (response.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
	if (manifestMediaTypes.includes(sent) || indexMediaTypes.includes(sent)) return sent;
	if (sent !== "" && sent !== "application/json" && sent !== "text/plain" && sent !== "application/octet-stream")
		return sent;
	try {
		const { mediaType } = JSON.parse(bytes.toString("utf8")) as { mediaType?: unknown };
		return typeof mediaType === "string" ? mediaType : sent;
	} catch {
		// Not JSON: parseManifest says so, under the type that was sent.
		return sent;
	}
}

/** Reads a generator at the reader's pace. Unlike Readable.from, destroying it ends a pending read at once. */
class PulledStream extends Readable {
	readonly #chunks: AsyncGenerator<Buffer, void>;
	readonly #stop: AbortController;

	constructor(chunks: AsyncGenerator<Buffer, void>, stop: AbortController) {
		super({ highWaterMark: 1024 * 1024 });
		this.#chunks = chunks;
		this.#stop = stop;
	}

	override _read(): void {
		this.#chunks.next().then(
			(chunk) => this.push(chunk.done ? null : chunk.value),
			(error) => this.destroy(error),
		);
	}

	override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
		this.#stop.abort(error ?? new Error("The reader has stopped"));
		// Closes the response even when no read was ever made.
		this.#chunks.return().catch(() => {});
		callback(error);
	}
}
