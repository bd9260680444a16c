/** The example services, tried as a user would: pushed, deployed with `slipway`, asked with curl by the URL that it printed. */
import { join } from "node:path";
import type { Builder } from "./builder.ts";
import { imageBytes, pushImage } from "./deploy.ts";
import type { LocalDaemon } from "./local-daemon.ts";
import { run } from "./run.ts";
import { buildServiceExample, type ServiceExample } from "./service-examples.ts";
import { formatBytes, formatMs, formatTable, median } from "./table.ts";

const slipway = join(import.meta.dirname, "..", "bin", "slipway");
const warmRequests = 15;
const curlTimeoutS = 60;

export interface ServiceResult {
	example: ServiceExample;
	url: string;
	bytes: number;
	/** From zero instances. */
	coldMs: number;
	warmMs: number;
	/** Undefined when every answer was right. */
	wrong?: string;
}

export async function tryService(
	daemon: LocalDaemon,
	builder: Builder,
	password: string,
	example: ServiceExample,
	say: (line: string) => void,
): Promise<ServiceResult> {
	const result: ServiceResult = { example, url: "", bytes: Number.NaN, coldMs: Number.NaN, warmMs: Number.NaN };
	const { name, image } = example;
	const env = { ...process.env, SLIPWAY_HOME: daemon.home };
	try {
		say(`${name}: building ${image} with ${builder.name}`);
		await buildServiceExample(example, builder, say);
		say(`${name}: pushing it to ${daemon.registry}/${image}`);
		const reference = await pushImage(daemon, builder, image, password);
		say(`${name}: deploying the service`);
		await run(slipway, ["service", "deploy", reference, "--name", image], { env });
		result.url = (await run(slipway, ["service", "url", image], { env })).trim();
		result.bytes = await imageBytes(daemon, image);
		await run(slipway, ["service", "stop", image], { env });
		say(`${name}: asking it at ${result.url}`);
		const wrong = await ask(result);
		if (wrong !== undefined) result.wrong = wrong;
	} catch (error) {
		result.wrong = error instanceof Error ? error.message : String(error);
	}
	if (result.wrong !== undefined) say(`${name}: ${result.wrong}`);
	return result;
}

async function ask(result: ServiceResult): Promise<string | undefined> {
	const url = new URL(result.example.path, result.url).href;
	const first = await curl(url);
	result.coldMs = first.ms;
	const answers = [first];
	for (let count = 0; count < warmRequests; count++) answers.push(await curl(url));
	result.warmMs = median(answers.slice(1).map(({ ms }) => ms));
	const right = new RegExp(result.example.answer);
	const wrong = answers.find(({ status, body }) => status !== 200 || !right.test(body));
	return wrong && `a wrong answer: ${wrong.status} ${wrong.body.slice(0, 500)}`;
}

async function curl(url: string): Promise<{ status: number; body: string; ms: number }> {
	const format = "\n%{http_code} %{time_total} %{time_pretransfer}";
	// Only newer versions know by themselves that every name below localhost is this machine.
	const { hostname, port } = new URL(url);
	const local = hostname.endsWith(".localhost") ? ["--resolve", `${hostname}:${port}:127.0.0.1`] : [];
	const words = ["-sSk", "--max-time", String(curlTimeoutS), ...local, "-w", format, url];
	const output = await run("curl", words);
	const cut = output.lastIndexOf("\n");
	const [status = "0", total = "NaN", before = "NaN"] = output.slice(cut + 1).split(" ");
	return { status: Number(status), body: output.slice(0, cut), ms: (Number(total) - Number(before)) * 1000 };
}

export function serviceReport(results: readonly ServiceResult[]): string {
	return formatTable(
		["service", "image size", "cold ms", "warm ms", "answer", "url"],
		results.map(({ example, url, bytes, coldMs, warmMs, wrong }) => [
			example.name,
			formatBytes(bytes),
			formatMs(coldMs),
			formatMs(warmMs),
			wrong === undefined ? "ok" : "WRONG",
			url,
		]),
	);
}
