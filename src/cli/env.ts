import { SlipwayError } from "../base/error.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "env [--shell posix|fish] [--json]",
	summary: "Print settings for the aws cli, AWS SDKs, docker and this command",
	details:
		"The output sets AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n" +
		"AWS_ACCOUNT_ID, SLIPWAY_URL, SLIPWAY_TOKEN and SLIPWAY_REGISTRY, and unsets AWS_SESSION_TOKEN and AWS_PROFILE, which\n" +
		"would win over them. It holds secrets.",
	positionals: [0, 0],
	options: {
		shell: { type: "string", value: "NAME", description: "posix or fish; by default what SHELL names" },
		...jsonOption,
	},
	examples: [
		['eval "$(slipway env)"', "sh, bash, zsh"],
		["slipway env | source", "fish"],
		["aws ecr get-login-password | docker login -u AWS --password-stdin $SLIPWAY_REGISTRY", "afterwards"],
		["slipway env --json", "for programs"],
	],
	run: env,
};

/** Credentials of another account that the AWS clients would prefer or mix in. */
const unset = ["AWS_SESSION_TOKEN", "AWS_PROFILE"];

async function env({ context, values }: Call): Promise<number> {
	const shell = text(values.shell) ?? (context.env.SHELL?.endsWith("/fish") ? "fish" : "posix");
	if (shell !== "posix" && shell !== "fish")
		throw new SlipwayError("INVALID", `--shell is '${shell}': it must be posix or fish`, { reason: "Usage" });
	const daemon = context.localDaemon();
	const credentials = daemon && context.credentials();
	if (!daemon?.url || !credentials) throw context.noDaemon();
	const settings = {
		AWS_ENDPOINT_URL: daemon.url,
		AWS_REGION: daemon.region,
		AWS_DEFAULT_REGION: daemon.region,
		AWS_ACCESS_KEY_ID: credentials.accessKeyId,
		AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
		AWS_ACCOUNT_ID: daemon.accountId,
		SLIPWAY_URL: daemon.url,
		SLIPWAY_TOKEN: credentials.token,
		SLIPWAY_REGISTRY: new URL(daemon.url).host,
	};
	if (values.json) context.printJson(settings);
	else context.print(shell === "fish" ? fishExports(settings) : posixExports(settings));
	return exitCodes.ok;
}

export function posixExports(settings: Readonly<Record<string, string>>): string {
	const lines = Object.entries(settings).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`);
	return [`unset ${unset.join(" ")}`, ...lines].join("\n");
}

/** In fish's single quotes a backslash escapes a quote and itself. */
export function fishExports(settings: Readonly<Record<string, string>>): string {
	const lines = Object.entries(settings).map(
		([name, value]) => `set -gx ${name} '${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`,
	);
	return [...unset.map((name) => `set -e ${name}`), ...lines].join("\n");
}
