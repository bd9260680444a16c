/** The daemon's environment variables: names, rules, defaults and what they are for. The only list of them. */
import { z } from "zod";

const byteUnits: Record<string, number> = {
	"": 1,
	b: 1,
	kib: 2 ** 10,
	mib: 2 ** 20,
	gib: 2 ** 30,
	tib: 2 ** 40,
	kb: 1e3,
	mb: 1e6,
	gb: 1e9,
	tb: 1e12,
};
const secondUnits: Record<string, number> = { "": 1, s: 1, m: 60, h: 3600 };

function quantity(units: Record<string, number>, rule: string, range: { min: number; max: number }) {
	return z.string().transform((text, context) => {
		const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(text);
		const unit = match && units[match[2]!.toLowerCase()];
		const value = unit ? Number(match![1]) * unit : Number.NaN;
		if (value >= range.min && value <= range.max) return Math.round(value);
		context.addIssue(rule);
		return z.NEVER;
	});
}

const seconds = (min: number, max: number) =>
	quantity(secondUnits, `must be ${min} to ${max} seconds, as a number or with a unit (90, 90s, 15m, 1h)`, {
		min,
		max,
	});
const bytes = (min: number, max: number) =>
	quantity(byteUnits, `must be ${min} to ${max} bytes, as a number or with a unit (512MiB, 10GiB)`, { min, max });
const integer = (min: number, max: number) =>
	quantity({ "": 1 }, `must be a whole number from ${min} to ${max}`, { min, max });
const flag = z.string().transform((text, context) => {
	if (/^(1|true|yes|on)$/i.test(text)) return true;
	if (/^(0|false|no|off)$/i.test(text)) return false;
	context.addIssue("must be 1 or 0 (also true or false, yes or no)");
	return z.NEVER;
});
const file = z.string().regex(/^\//, "must be an absolute path");

const listen = z.string().transform((text, context) => {
	const match = /^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+):(\d{1,5})$/.exec(text);
	const port = Number(match?.[2]);
	if (match && port <= 65_535) return { host: match[1]!.replace(/^\[|\]$/g, ""), port };
	context.addIssue("must be HOST:PORT, such as 127.0.0.1:4747 or [::1]:4747 (port 0 takes any free port)");
	return z.NEVER;
});

/** `host` or `host:port`, as a docker reference spells its registry; `*` stands for one label. */
const hosts = z.string().transform((text, context) => {
	const list = text.split(",").map((host) => host.trim().toLowerCase());
	if (list.every((host) => /^[a-z0-9.*-]+(:\d{1,5})?$/.test(host))) return list;
	context.addIssue("must be host names with or without a port, separated by commas ('*' stands for one label)");
	return z.NEVER;
});

const domains = z.string().transform((text, context) => {
	const list = text.split(",").map((domain) => domain.trim().toLowerCase());
	const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
	if (list.every((domain) => new RegExp(`^${label}(\\.${label})*$`).test(domain))) return list;
	context.addIssue("must be domain names separated by commas, such as localhost,apps.example.com");
	return z.NEVER;
});

const ports = z.string().transform((text, context) => {
	const list = text.split(",").map((port) => Number(port.trim()));
	if (list.length <= 32 && list.every((port) => Number.isInteger(port) && port > 0 && port <= 65_535)) return list;
	context.addIssue("must be at most 32 port numbers separated by commas, such as 5432,6379");
	return z.NEVER;
});

const projectId = z.string().regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, "must be 6 to 30 letters, digits and hyphens");
const url = z.url({ protocol: /^https?$/, error: "must be an http or https URL" });
const email = z.email({ error: "must be an e-mail address" });

const GiB = 2 ** 30;
const day = 86_400;

export interface Variable {
	schema: z.ZodType;
	/** As text, for the documentation; the value itself is in config.ts where it depends on the machine. */
	default: string;
	description: string;
}

export const variables = {
	SLIPWAY_HOME: {
		schema: file,
		default: "/var/lib/slipway as root, ~/.slipway otherwise",
		description: "Folder that holds all state; one daemon owns it",
	},
	SLIPWAY_LISTEN: {
		schema: listen,
		default: "127.0.0.1:4747",
		description: "Address and port that every front answers on",
	},
	SLIPWAY_INSECURE: {
		schema: flag,
		default: "0",
		description: "Allow an address other than loopback without TLS: keys and payloads then cross the network in clear",
	},
	SLIPWAY_TLS_CERT: { schema: file, default: "none", description: "PEM file of the certificate chain" },
	SLIPWAY_TLS_KEY: { schema: file, default: "none", description: "PEM file of the certificate's private key" },
	SLIPWAY_REGION: {
		schema: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "must be a region name such as us-east-1"),
		default: "us-east-1",
		description: "AWS region that ARNs and signatures carry",
	},
	SLIPWAY_ACCOUNT_ID: {
		schema: z.string().regex(/^\d{12}$/, "must be 12 digits"),
		default: "random, made at first start",
		description: "AWS account id that ARNs carry",
	},
	SLIPWAY_REGISTRY_HOSTS: {
		schema: hosts,
		default: "none",
		description: "Further names of the built-in registry in image references, such as *.dkr.ecr.*.amazonaws.com",
	},
	SLIPWAY_IDLE_TIMEOUT: {
		schema: seconds(1, 7 * day),
		default: "600",
		description: "Seconds after which an idle sandbox is stopped",
	},
	SLIPWAY_FREEZE_DELAY: {
		schema: integer(0, 3_600_000),
		default: "10",
		description: "Milliseconds after which an idle sandbox is frozen",
	},
	SLIPWAY_MAX_SANDBOXES: {
		schema: integer(1, 10_000),
		default: "as many of 128 MiB as fit in 80 % of the memory, 8 to 1000",
		description: "Sandboxes that may exist at once",
	},
	SLIPWAY_SANDBOX_MAX_AGE: {
		schema: seconds(60, 30 * day),
		default: "4h",
		description: "Age at which a sandbox is replaced after its event, however busy it is",
	},
	SLIPWAY_SPARES: {
		schema: integer(0, 1000),
		default: "16",
		description: "Sandboxes of all functions that may stand created ahead of their event, running nothing; 0 for none",
	},
	SLIPWAY_INITIALIZED_SPARES: {
		schema: integer(0, 1000),
		default: "8",
		description: "Sandboxes of all functions that may stand initialized and frozen ahead of their event; 0 for none",
	},
	SLIPWAY_SPARE_TIMEOUT: {
		schema: seconds(1, 7 * day),
		default: "15m",
		description: "Seconds after a function's last event for which its spares are kept",
	},
	SLIPWAY_ACCOUNT_CONCURRENCY: {
		schema: integer(101, 1_000_000),
		default: "1000",
		description: "Invocations at once, of all functions; 100 of them can't be reserved",
	},
	SLIPWAY_ASYNC_RETRY_DELAY: {
		schema: seconds(0, 3600),
		default: "60",
		description:
			"Seconds before a failed asynchronous invocation's first retry, as on AWS; twice that before its second",
	},
	SLIPWAY_SCALING_RATE: {
		schema: integer(1, 1_000_000),
		default: "1000",
		description: "Sandboxes that one function may add in 10 seconds",
	},
	SLIPWAY_STREAM_RATE: {
		schema: bytes(1024, 1024 * GiB),
		default: "2MiB",
		description: "Bytes a second of a streamed response after its first 6 MiB, as on AWS",
	},
	SLIPWAY_LOG_GROUP_MAX_SIZE: {
		schema: bytes(16 * 2 ** 20, 1024 * GiB),
		default: "256MiB",
		description: "Bytes kept of one function's log; the oldest go first",
	},
	SLIPWAY_LOG_LEVEL: {
		schema: z.enum(["debug", "info", "warn", "error"], "must be debug, info, warn or error"),
		default: "info",
		description: "Least severe line of the daemon's own log",
	},
	SLIPWAY_LOG_MAX_SIZE: {
		schema: bytes(64 * 1024, GiB),
		default: "10MiB",
		description: "Size at which a detached daemon's log file is rotated; three old ones are kept",
	},
	SLIPWAY_RUNTIME: {
		schema: z.enum(["auto", "crun", "runc"], "must be auto, crun or runc"),
		default: "auto",
		description: "Program that runs containers; auto takes the first that starts one here, crun before runc",
	},
	SLIPWAY_DOMAINS: {
		schema: domains,
		default: "localhost",
		description:
			"Domains below which services have their names (NAME.localhost), separated by commas; URLs are made with the first",
	},
	SLIPWAY_GATEWAY_LISTEN: {
		schema: listen,
		default: "none",
		description:
			"Further address and port that answers for services and routes alone, without TLS; port 80 also answers ACME challenges",
	},
	SLIPWAY_GATEWAY_TLS_LISTEN: {
		schema: listen,
		default: "none",
		description: "Further address and port that answers for services and routes alone, with TLS and HTTP/2",
	},
	SLIPWAY_ACME_EMAIL: {
		schema: email,
		default: "none",
		description: "Account that certificates of own domains are asked for with (`slipway domain add --tls acme`)",
	},
	SLIPWAY_ACME_DIRECTORY: {
		schema: url,
		default: "https://acme-v02.api.letsencrypt.org/directory",
		description: "Directory of the certificate authority that speaks ACME",
	},
	SLIPWAY_ACME_CA: {
		schema: file,
		default: "none",
		description: "PEM file of what that authority's own server is trusted by, where it is no public one",
	},
	SLIPWAY_HOST_PORTS: {
		schema: ports,
		default: "none",
		description: "Ports of this machine's loopback that containers reach as host.internal:PORT; none unless named here",
	},
	SLIPWAY_PROJECT: {
		schema: projectId,
		default: "slipway",
		description: "Project id that the metadata server tells",
	},
	SLIPWAY_EGRESS: { schema: flag, default: "1", description: "Whether functions may reach the outside network" },
	SLIPWAY_DRAIN_TIMEOUT: {
		schema: seconds(0, 3600),
		default: "30",
		description: "Seconds that requests in flight get to finish when the daemon stops",
	},
	SLIPWAY_LAYER_MAX_SIZE: {
		schema: bytes(2 ** 20, 1024 * GiB),
		default: "10GiB",
		description: "Bytes of file content that one unpacked layer may hold",
	},
	SLIPWAY_LAYER_MAX_ENTRIES: {
		schema: integer(1000, 50_000_000),
		default: "1000000",
		description: "Files, folders and links that one layer may hold",
	},
	SLIPWAY_LAYER_MAX_RATIO: {
		schema: integer(2, 1_000_000),
		default: "200",
		description: "How many times larger than its compressed form a layer may get",
	},
	SLIPWAY_IMPORT_MAX_SIZE: {
		schema: bytes(2 ** 20, 1024 * GiB),
		default: "20GiB",
		description: "Size of an archive that `slipway image import` may send",
	},
	SLIPWAY_UPLOAD_TTL: {
		schema: seconds(60, 30 * day),
		default: "86400",
		description: "Seconds after which an unfinished push is dropped",
	},
} as const satisfies Record<`SLIPWAY_${string}`, Variable>;

export type VariableName = keyof typeof variables;

/** Read by the command line and by other people's tools; the daemon takes no notice of them. */
export const clientVariables = ["SLIPWAY_URL", "SLIPWAY_TOKEN", "SLIPWAY_REGISTRY"];

export type Environment = { [Name in VariableName]?: z.output<(typeof variables)[Name]["schema"]> };

/** Of passwords that connections to brokers name (core/trigger/read-connection.ts). */
const secretPrefix = "SLIPWAY_SECRET_";

/** Reads what is set; an empty value counts as unset. One problem a line, each with variable, value and rule. */
export function parseEnvironment(env: Readonly<Record<string, string | undefined>>): {
	values: Environment;
	problems: string[];
	warnings: string[];
} {
	const values: Record<string, unknown> = {};
	const problems: string[] = [];
	for (const [name, { schema }] of Object.entries(variables)) {
		const text = env[name];
		if (text === undefined || text === "") continue;
		const parsed = (schema as z.ZodType).safeParse(text);
		if (parsed.success) values[name] = parsed.data;
		else problems.push(`${name} is '${text.slice(0, 200)}': it ${parsed.error.issues[0]?.message ?? "is not valid"}`);
	}
	const warnings = Object.keys(env)
		.filter((name) => name.startsWith("SLIPWAY_") && !(name in variables) && !clientVariables.includes(name))
		.filter((name) => !name.startsWith(secretPrefix))
		.map((name) => `${name} is set, but there is no such setting`);
	return { values: values as Environment, problems, warnings };
}
