/** Services as their users meet them: deployed with the command line, asked through the gateway by their names. */
import assert from "node:assert/strict";
import { type IncomingHttpHeaders, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceView } from "../../src/client/service-schema.ts";
import { type LocalDaemon, type StartOptions, startDaemon } from "../../tools/local-daemon.ts";
import { slipway } from "../e2e/slipway.ts";
import type { Told } from "./subject.ts";

const askTimeoutMs = 60_000;
const pollMs = 50;

export interface Answer {
	status: number;
	headers: IncomingHttpHeaders;
	trailers: NodeJS.Dict<string>;
	text: string;
	/** From the request to the answer's end. */
	ms: number;
}

export interface Question {
	method?: string;
	headers?: Record<string, string>;
	body?: string | Buffer;
}

/** Without a way out: none of these services needs one, and addresses for it are few on a machine. */
export function startTestDaemon(options: StartOptions = {}): Promise<LocalDaemon> {
	return startDaemon({ ...options, env: { SLIPWAY_EGRESS: "0", ...options.env } });
}

/** `hello` and `green---hello` are below localhost; a name with a dot is taken as it is. */
export function hostOf(daemon: LocalDaemon, name: string): string {
	return `${name.includes(".") ? name : `${name}.localhost`}:${new URL(daemon.url).port}`;
}

/** One request on a connection of its own, to the daemon's address with the service's name as Host. */
export async function ask(daemon: LocalDaemon, name: string, path = "/", question: Question = {}): Promise<Answer> {
	const started = performance.now();
	const { method = question.body === undefined ? "GET" : "POST", headers, body } = question;
	const signal = AbortSignal.timeout(askTimeoutMs);
	const { hostname, port } = new URL(daemon.url);
	const sent = request({
		...{ hostname, port, path, method, agent: false, signal },
		headers: { host: hostOf(daemon, name), ...headers },
	});
	sent.end(body);
	const answer = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
		sent.once("response", resolve);
		sent.once("error", reject);
	});
	const text = (await buffer(answer)).toString();
	const { statusCode: status = 0, headers: got, trailers } = answer;
	return { status, headers: got, trailers, text, ms: performance.now() - started };
}

/** Of the subject (subject.ts): what it tells at this path. */
export async function told(daemon: LocalDaemon, name: string, path = "/", question: Question = {}): Promise<Told> {
	const answer = await ask(daemon, name, path, question);
	assert.equal(answer.status, 200, answer.text);
	return JSON.parse(answer.text) as Told;
}

/** `slipway WORDS…`, which must succeed; returns what it prints. */
export async function cli(daemon: LocalDaemon, ...words: string[]): Promise<string> {
	const { code, out, err } = await slipway(daemon.home, words);
	assert.equal(code, 0, `slipway ${words.join(" ")}\n${out}${err}`);
	return out;
}

export async function deploy(daemon: LocalDaemon, name: string, image: string, ...words: string[]): Promise<void> {
	await cli(daemon, "service", "deploy", image, "--name", name, ...words);
}

/** The manifest of a service of one container; `change` goes over its revision template. */
export function manifest(
	name: string,
	container: Record<string, unknown>,
	change: {
		annotations?: Record<string, string>;
		service?: Record<string, string>;
		spec?: Record<string, unknown>;
	} = {},
) {
	return {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: { name, annotations: change.service ?? {} },
		spec: {
			template: {
				metadata: { annotations: change.annotations ?? {} },
				spec: { containers: [container], ...change.spec },
			},
		},
	};
}

/** `slipway service deploy -f -`; `code` is the exit code that it must have. */
export async function apply(daemon: LocalDaemon, document: object, code = 0): Promise<{ out: string; err: string }> {
	const result = await slipway(daemon.home, ["service", "deploy", "-f", "-"], { input: JSON.stringify(document) });
	assert.equal(result.code, code, `${result.out}${result.err}`);
	return result;
}

export async function serviceOf(daemon: LocalDaemon, name: string): Promise<ServiceView> {
	return JSON.parse(await cli(daemon, "service", "get", name, "--json")) as ServiceView;
}

export const logOf = (daemon: LocalDaemon, name: string) => cli(daemon, "service", "logs", name);

/** Instances that a service's revisions have. */
export async function instancesOf(daemon: LocalDaemon, name: string): Promise<number> {
	const headers = { authorization: `Bearer ${daemon.credentials.token}` };
	const answer = await fetch(`${daemon.url}/_slipway/revisions?namespace=default&service=${name}`, { headers });
	assert.equal(answer.status, 200);
	const { revisions } = (await answer.json()) as { revisions: { status: { actualReplicas?: number } }[] };
	return revisions.reduce((sum, { status }) => sum + (status.actualReplicas ?? 0), 0);
}

/** Asks again until the answer is not undefined, at most so many seconds. */
export async function until<T>(what: string, seconds: number, attempt: () => Promise<T | undefined>): Promise<T> {
	for (const end = performance.now() + seconds * 1000; ; await sleep(pollMs)) {
		const found = await attempt();
		if (found !== undefined) return found;
		if (performance.now() > end) throw new Error(`After ${seconds} s still not: ${what}`);
	}
}
