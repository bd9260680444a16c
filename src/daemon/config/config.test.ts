import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { type Config, isLoopback, parseConfig } from "./config.ts";
import { variables } from "./env.ts";

const machine = { root: true, userHome: "/home/ada", memoryBytes: 8 * 2 ** 30 };
const GiB = 2 ** 30;

test("Nothing set: loopback, the region that tools assume, and the folder of the user", () => {
	const config = parseConfig({}, machine);
	assert.deepEqual(config, {
		home: "/var/lib/slipway",
		listen: { host: "127.0.0.1", port: 4747 },
		tls: undefined,
		region: "us-east-1",
		accountId: undefined,
		registryHosts: [],
		idleTimeoutMs: 600_000,
		freezeDelayMs: 10,
		maxSandboxes: 51,
		sandboxMaxAgeMs: 14_400_000,
		spares: { maxCreated: 16, maxInitialized: 8, keepMs: 900_000 },
		accountConcurrency: 1000,
		asyncRetryMs: 60_000,
		scalingRate: 1000,
		streamRate: 2 * 2 ** 20,
		logGroupMaxBytes: 256 * 2 ** 20,
		logLevel: "info",
		logMaxBytes: 10 * 2 ** 20,
		runtime: "auto",
		egress: true,
		domains: ["localhost"],
		gateway: { listen: undefined, tlsListen: undefined },
		acme: { email: undefined, directory: "https://acme-v02.api.letsencrypt.org/directory", caPath: undefined },
		hostPorts: [],
		project: "slipway",
		drainMs: 30_000,
		layers: { maxBytes: 10 * GiB, maxEntries: 1_000_000, maxRatio: 200 },
		importMaxBytes: 20 * GiB,
		uploadTtlMs: 86_400_000,
		tracing: undefined,
		warnings: [],
	} satisfies Config);
	assert.equal(parseConfig({}, { ...machine, root: false }).home, "/home/ada/.slipway");
});

const accepted: [string, string, (config: Config) => unknown, unknown][] = [
	["SLIPWAY_HOME", "/srv/s", (c) => c.home, "/srv/s"],
	["SLIPWAY_HOME", "", (c) => c.home, "/var/lib/slipway"],
	["SLIPWAY_LISTEN", "127.0.0.1:0", (c) => c.listen, { host: "127.0.0.1", port: 0 }],
	["SLIPWAY_LISTEN", "[::1]:80", (c) => c.listen, { host: "::1", port: 80 }],
	["SLIPWAY_LISTEN", "localhost:4747", (c) => c.listen, { host: "localhost", port: 4747 }],
	["SLIPWAY_REGION", "eu-central-1", (c) => c.region, "eu-central-1"],
	["SLIPWAY_REGION", "us-gov-west-1", (c) => c.region, "us-gov-west-1"],
	["SLIPWAY_ACCOUNT_ID", "012345678901", (c) => c.accountId, "012345678901"],
	["SLIPWAY_REGISTRY_HOSTS", "Reg.local, other:5000", (c) => c.registryHosts, ["reg.local", "other:5000"]],
	["SLIPWAY_IDLE_TIMEOUT", "90", (c) => c.idleTimeoutMs, 90_000],
	["SLIPWAY_IDLE_TIMEOUT", "15m", (c) => c.idleTimeoutMs, 900_000],
	["SLIPWAY_FREEZE_DELAY", "0", (c) => c.freezeDelayMs, 0],
	["SLIPWAY_MAX_SANDBOXES", "7", (c) => c.maxSandboxes, 7],
	["SLIPWAY_SPARES", "0", (c) => c.spares.maxCreated, 0],
	["SLIPWAY_INITIALIZED_SPARES", "3", (c) => c.spares.maxInitialized, 3],
	["SLIPWAY_SPARE_TIMEOUT", "5m", (c) => c.spares.keepMs, 300_000],
	["SLIPWAY_LOG_LEVEL", "debug", (c) => c.logLevel, "debug"],
	["SLIPWAY_RUNTIME", "runc", (c) => c.runtime, "runc"],
	["SLIPWAY_EGRESS", "no", (c) => c.egress, false],
	["SLIPWAY_DOMAINS", "Localhost, apps.example.com", (c) => c.domains, ["localhost", "apps.example.com"]],
	["SLIPWAY_GATEWAY_LISTEN", "0.0.0.0:80", (c) => c.gateway.listen, { host: "0.0.0.0", port: 80 }],
	["SLIPWAY_GATEWAY_TLS_LISTEN", "[::]:443", (c) => c.gateway.tlsListen, { host: "::", port: 443 }],
	["SLIPWAY_ACME_EMAIL", "ops@example.com", (c) => c.acme.email, "ops@example.com"],
	["SLIPWAY_ACME_CA", "/etc/ca.pem", (c) => c.acme.caPath, "/etc/ca.pem"],
	["SLIPWAY_HOST_PORTS", "5432, 6379", (c) => c.hostPorts, [5432, 6379]],
	["SLIPWAY_PROJECT", "shop-test", (c) => c.project, "shop-test"],
	["SLIPWAY_DRAIN_TIMEOUT", "0", (c) => c.drainMs, 0],
	["SLIPWAY_LAYER_MAX_SIZE", "1.5GiB", (c) => c.layers.maxBytes, 1.5 * GiB],
	["SLIPWAY_LAYER_MAX_SIZE", "2 GB", (c) => c.layers.maxBytes, 2e9],
	["SLIPWAY_LAYER_MAX_ENTRIES", "5000", (c) => c.layers.maxEntries, 5000],
	["SLIPWAY_INSECURE", "1", (c) => c.listen.host, "127.0.0.1"],
];

for (const [name, value, read, expected] of accepted)
	test(`${name}='${value}' is understood`, () => {
		assert.deepEqual(read(parseConfig({ [name]: value }, machine)), expected);
	});

const refused: [string, string, RegExp][] = [
	["SLIPWAY_HOME", "relative/path", /must be an absolute path/],
	["SLIPWAY_LISTEN", "4747", /must be HOST:PORT/],
	["SLIPWAY_LISTEN", "127.0.0.1:70000", /must be HOST:PORT/],
	["SLIPWAY_LISTEN", "::1:4747", /must be HOST:PORT/],
	["SLIPWAY_INSECURE", "maybe", /must be 1 or 0/],
	["SLIPWAY_REGION", "Frankfurt", /must be a region name/],
	["SLIPWAY_ACCOUNT_ID", "123", /must be 12 digits/],
	["SLIPWAY_REGISTRY_HOSTS", "http://x", /must be host names/],
	["SLIPWAY_IDLE_TIMEOUT", "0", /must be 1 to 604800 seconds/],
	["SLIPWAY_IDLE_TIMEOUT", "soon", /must be 1 to 604800 seconds/],
	["SLIPWAY_IDLE_TIMEOUT", "-5", /must be 1 to 604800 seconds/],
	["SLIPWAY_MAX_SANDBOXES", "0", /must be a whole number from 1 to 10000/],
	["SLIPWAY_SPARES", "many", /must be a whole number from 0 to 1000/],
	["SLIPWAY_INITIALIZED_SPARES", "-1", /must be a whole number from 0 to 1000/],
	["SLIPWAY_SPARE_TIMEOUT", "0", /must be 1 to 604800 seconds/],
	["SLIPWAY_LOG_LEVEL", "loud", /must be debug, info, warn or error/],
	["SLIPWAY_RUNTIME", "docker", /must be auto, crun or runc/],
	["SLIPWAY_DOMAINS", "-x.example", /must be domain names/],
	["SLIPWAY_GATEWAY_LISTEN", "80", /must be HOST:PORT/],
	["SLIPWAY_ACME_EMAIL", "me", /must be an e-mail address/],
	["SLIPWAY_ACME_DIRECTORY", "ftp://ca.example", /must be an http or https URL/],
	["SLIPWAY_HOST_PORTS", "5432,0", /must be at most 32 port numbers/],
	["SLIPWAY_PROJECT", "Shop", /must be 6 to 30 letters/],
	["SLIPWAY_LAYER_MAX_SIZE", "10 parsecs", /must be 1048576 to \d+ bytes/],
	["SLIPWAY_TLS_CERT", "cert.pem", /must be an absolute path/],
];

for (const [name, value, rule] of refused)
	test(`${name}='${value}' is refused, with name, value and rule`, () => {
		assert.throws(
			() => parseConfig({ [name]: value }, machine),
			(error) => {
				assert(isSlipwayError(error, "INVALID"));
				assert.match(error.message, new RegExp(`${name} is '${value.replace(/[.*+?()[\]]/g, "\\$&")}': it `));
				assert.match(error.message, rule);
				return true;
			},
		);
	});

test("Every problem is in one message", () => {
	assert.throws(() => parseConfig({ SLIPWAY_LISTEN: "x", SLIPWAY_REGION: "y" }, machine), {
		message: /SLIPWAY_LISTEN[\s\S]*SLIPWAY_REGION/,
	});
});

test("An address that others can reach needs TLS or --insecure, and the refusal names both", () => {
	for (const host of ["0.0.0.0", "192.168.1.4", "[::]", "[2001:db8::1]", "example.com", "127.evil.com"]) {
		const SLIPWAY_LISTEN = `${host}:4747`;
		assert.throws(
			() => parseConfig({ SLIPWAY_LISTEN }, machine),
			(error) => {
				assert(isSlipwayError(error, "INVALID"), host);
				assert.equal(error.reason, "InsecureListen");
				assert.match(error.hint ?? "", /--tls-cert .* --tls-key/);
				assert.match(error.hint ?? "", /--insecure/);
				return true;
			},
		);
		assert.equal(parseConfig({ SLIPWAY_LISTEN, SLIPWAY_INSECURE: "1" }, machine).listen.port, 4747);
		const tls = parseConfig({ SLIPWAY_LISTEN, SLIPWAY_TLS_CERT: "/c", SLIPWAY_TLS_KEY: "/k" }, machine).tls;
		assert.deepEqual(tls, { certPath: "/c", keyPath: "/k" });
	}
	assert.throws(() => parseConfig({ SLIPWAY_TLS_CERT: "/c" }, machine), { message: /SLIPWAY_TLS_CERT is set alone/ });
	assert.throws(() => parseConfig({ SLIPWAY_TLS_KEY: "/k" }, machine), { message: /SLIPWAY_TLS_KEY is set alone/ });
});

test("Loopback is what the machine alone can reach", () => {
	for (const host of ["127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1", "localhost", "::ffff:127.0.0.1"])
		assert(isLoopback(host), host);
	for (const host of [
		"0.0.0.0",
		"::",
		"128.0.0.1",
		"localhost.evil.com",
		"127.0.0.1.evil.com",
		"::2",
		"1::1",
		"::ffff:8.8.8.8",
	])
		assert(!isLoopback(host), host);
});

test("A setting that does not exist is warned of; the client's are not", () => {
	const { warnings } = parseConfig({ SLIPWAY_LISTENN: "x", SLIPWAY_URL: "u", SLIPWAY_TOKEN: "t", OTHER: "1" }, machine);
	assert.deepEqual(warnings, ["SLIPWAY_LISTENN is set, but there is no such setting"]);
});

test("The documented default of every plain setting is accepted by its own rule", () => {
	for (const [name, { default: value }] of Object.entries(variables)) {
		if (/ |none/.test(value)) continue;
		parseConfig({ [name]: value }, machine);
	}
});
