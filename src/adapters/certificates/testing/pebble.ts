/** Pebble, the ACME server of Let's Encrypt for tests, built from its Go module. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const module = "github.com/letsencrypt/pebble/v2";
const version = "v2.10.1";
const run = promisify(execFile);
const buildTimeoutMs = 180_000;

/** Where Go is, or undefined. */
export async function findGo(): Promise<string | undefined> {
	for (const program of ["go", "/usr/local/go/bin/go"]) {
		try {
			await run(program, ["version"]);
			return program;
		} catch {
			// Not this one.
		}
	}
	return undefined;
}

/** Built once; later tests take it from the cache. "pebble-challtestsrv" answers its questions of names. */
export async function buildPebble(go: string, name: "pebble" | "pebble-challtestsrv" = "pebble"): Promise<string> {
	const folder = join(homedir(), ".cache", "slipway", "pebble");
	const program = join(folder, `${name}-${version}`);
	try {
		await access(program);
		return program;
	} catch {
		await mkdir(folder, { recursive: true });
	}
	const bin = await mkdtemp(join(folder, "build-"));
	try {
		const env = { ...process.env, GOBIN: bin, GOFLAGS: "-mod=mod" };
		await run(go, ["install", `${module}/cmd/${name}@${version}`], { env, timeout: buildTimeoutMs });
		await rename(join(bin, name), program);
	} finally {
		await rm(bin, { recursive: true, force: true });
	}
	return program;
}

export interface PebbleOptions {
	port: number;
	managementPort: number;
	/** Where it asks for http-01. */
	httpPort: number;
	/** Per cent of valid nonces that it refuses. */
	reject?: number;
	/** Of the certificates that it gives out. */
	validitySeconds?: number;
	/** pebble-challtestsrv, for which every name is 127.0.0.1; the machine's own way to find names when left out. */
	names?: { program: string; port: number; managementPort: number };
}

export class Pebble implements AsyncDisposable {
	readonly directoryUrl: string;
	/** PEM of what its own server is trusted by. */
	readonly ca: string;
	readonly #processes: ChildProcess[];
	readonly #folder: string;
	readonly #managementPort: number;

	private constructor(
		processes: ChildProcess[],
		folder: string,
		ca: string,
		{ port, managementPort }: Pick<PebbleOptions, "port" | "managementPort">,
	) {
		this.#processes = processes;
		this.#folder = folder;
		this.#managementPort = managementPort;
		this.ca = ca;
		this.directoryUrl = `https://127.0.0.1:${port}/dir`;
	}

	static async start(program: string, options: PebbleOptions): Promise<Pebble> {
		const folder = await mkdtemp(join(tmpdir(), "slipway-pebble-"));
		const ca = await makeOwnCertificate(folder);
		await writeFile(join(folder, "config.json"), JSON.stringify({ pebble: configIn(folder, options) }));
		const { reject = 0, names } = options;
		const env = { PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: String(reject), PATH: process.env.PATH };
		const args = ["-config", join(folder, "config.json"), "-strict=false"];
		if (names) args.push("-dnsserver", `127.0.0.1:${names.port}`);
		const processes = [spawn(program, args, { env, stdio: "ignore" })];
		if (names) processes.push(spawn(names.program, namesArgs(names), { stdio: "ignore" }));
		const made = new Pebble(processes, folder, ca, options);
		try {
			await made.#listening();
			return made;
		} catch (error) {
			await made[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Of the certificates that it gives out. */
	root(): Promise<string> {
		return this.#get(`https://127.0.0.1:${this.#managementPort}/roots/0`);
	}

	async #listening(): Promise<void> {
		for (let tries = 0; ; tries++) {
			try {
				await this.#get(this.directoryUrl);
				return;
			} catch (error) {
				if (tries > 200 || this.#processes[0]?.exitCode !== null) throw error;
				await new Promise((resolve) => setTimeout(resolve, 25));
			}
		}
	}

	#get(url: string): Promise<string> {
		return new Promise((resolve, reject) => {
			request(url, { ca: this.ca, agent: false }, (response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk) => {
					text += chunk;
				});
				response.on("end", () => resolve(text));
			})
				.on("error", reject)
				.end();
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const child of this.#processes) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			const ended = new Promise((resolve) => child.once("exit", resolve));
			child.kill("SIGKILL");
			await ended;
		}
		await rm(this.#folder, { recursive: true, force: true });
	}
}

/** Of its own endpoint. By openssl: the development authority's are for host names alone, and the client asks for an address. */
async function makeOwnCertificate(folder: string): Promise<string> {
	const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
	const subject = ["-subj", "/CN=pebble", "-addext", "subjectAltName=IP:127.0.0.1"];
	await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", ...files, ...subject]);
	return readFile(join(folder, "cert.pem"), "utf8");
}

function configIn(folder: string, { port, managementPort, httpPort, validitySeconds = 3600 }: PebbleOptions): object {
	return {
		listenAddress: `127.0.0.1:${port}`,
		managementListenAddress: `127.0.0.1:${managementPort}`,
		certificate: join(folder, "cert.pem"),
		privateKey: join(folder, "key.pem"),
		httpPort,
		tlsPort: 1,
		ocspResponderURL: "",
		externalAccountBindingRequired: false,
		profiles: { default: { description: "The only one", validityPeriod: validitySeconds } },
	};
}

function namesArgs({ port, managementPort }: { port: number; managementPort: number }): string[] {
	const off = ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""];
	const on = [
		"-defaultIPv4",
		"127.0.0.1",
		"-dnsserver",
		`127.0.0.1:${port}`,
		"-management",
		`127.0.0.1:${managementPort}`,
	];
	return [...on, ...off];
}
