import { join, resolve } from "node:path";
import { SlipwayError } from "../base/error.ts";
import { daemonLogFile } from "../client/local.ts";
import { becomeDaemon, startDetached } from "./daemon-process.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "up [--detach] [options]",
	summary: "Start the daemon, here or in the background",
	details:
		"Options stand for the settings of the same name (--listen for SLIPWAY_LISTEN) and win over them. State, keys and images\n" +
		"are kept in the home folder; keys are made at the first start.",
	positionals: [0, 0],
	options: {
		detach: { type: "boolean", short: "d", description: "Run in the background; return when it is ready" },
		listen: { type: "string", value: "HOST:PORT", description: "Address (127.0.0.1:4747)" },
		"tls-cert": { type: "string", value: "FILE", description: "Certificate chain, PEM; needed beyond loopback" },
		"tls-key": { type: "string", value: "FILE", description: "Its private key, PEM" },
		insecure: { type: "boolean", description: "Allow an address beyond loopback without TLS" },
		region: { type: "string", value: "REGION", description: "AWS region in ARNs and signatures (us-east-1)" },
		runtime: { type: "string", value: "NAME", description: "crun, runc, or auto" },
		"log-level": { type: "string", value: "LEVEL", description: "debug, info, warn, error" },
		...jsonOption,
	},
	examples: [
		["slipway up", "in this terminal, until Ctrl-C"],
		["slipway up --detach", "in the background; `slipway down` stops it"],
		["slipway up --listen 127.0.0.1:0 --home /tmp/try", "on a free port, with state of its own"],
		["slipway up --listen 0.0.0.0:4747 --tls-cert c.pem --tls-key k.pem", "for other machines"],
	],
	run: up,
};

const variables: Record<string, string> = {
	listen: "SLIPWAY_LISTEN",
	"tls-cert": "SLIPWAY_TLS_CERT",
	"tls-key": "SLIPWAY_TLS_KEY",
	region: "SLIPWAY_REGION",
	runtime: "SLIPWAY_RUNTIME",
	"log-level": "SLIPWAY_LOG_LEVEL",
};

async function up({ context, values }: Call): Promise<number> {
	const env: Record<string, string | undefined> = { ...context.env, SLIPWAY_HOME: context.home };
	for (const [option, variable] of Object.entries(variables)) {
		const value = text(values[option]);
		if (value !== undefined) env[variable] = option.startsWith("tls-") ? resolve(value) : value;
	}
	if (values.insecure) env.SLIPWAY_INSECURE = "1";
	if (!values.detach) becomeDaemon(env);
	const report = await startDetached(env, context.home);
	if (!report.ready)
		throw new SlipwayError("UNAVAILABLE", report.message ?? "The daemon did not start", { hint: report.hint });
	if (values.json) context.printJson(report);
	else
		context.print(
			`Slipway is up: ${report.url} (process ${report.pid}, ${report.runtime})\n` +
				`  home      ${report.home}\n` +
				`  log       ${join(context.home, daemonLogFile)}\n` +
				'  next      eval "$(slipway env)"; slipway status; slipway down',
		);
	return exitCodes.ok;
}
