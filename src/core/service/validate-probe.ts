import type { KubernetesProbe } from "./knative.ts";
import type { ObjectReader } from "./object-reader.ts";
import type { ServiceProfile } from "./service-revision.ts";

export interface ProbeContext {
	use: "startup" | "liveness" | "readiness";
	profile: ServiceProfile;
	/** Name of the port where requests arrive; undefined for a container that gets none. */
	portName: string | undefined;
}

const most = 2 ** 31 - 1;
/** Cloud Run's longest, seconds (http-contracts 1.6): startup in all and liveness' period. */
const cloudRunStartupS = 240;
const cloudRunLivenessS = 3600;
/** Bounds what one probe sends. */
const maxHeaders = 64;

/** A probe as it was given, checked as Knative (k8s_validation.go validateProbe) and Kubernetes do. Defaults: service-defaults.ts. */
export function readProbe(reader: ObjectReader | undefined, context: ProbeContext): KubernetesProbe | undefined {
	if (!reader) return undefined;
	const probe: KubernetesProbe = {};
	readChecks(reader, probe, context);
	const isReadiness = context.use === "readiness";
	const longest = context.profile === "cloudrun" && !isReadiness ? longestSeconds(context) : most;
	const numbers = {
		initialDelaySeconds: reader.bounded("initialDelaySeconds", 0, longest),
		timeoutSeconds: reader.bounded("timeoutSeconds", 0, longest),
		periodSeconds: reader.bounded("periodSeconds", 0, longest),
		successThreshold: reader.bounded("successThreshold", 0, isReadiness ? most : 1),
		failureThreshold: reader.bounded("failureThreshold", 0, most),
	};
	for (const [field, value] of Object.entries(numbers)) if (value) probe[field as keyof typeof numbers] = value;
	reader.refuse({
		terminationGracePeriodSeconds: "A container that fails its probe has the revision's own grace period",
	});
	reader.end();
	if (isReadiness) checkAggressive(reader, probe, context);
	if (context.profile === "cloudrun") checkCloudRun(reader, probe, context);
	return probe;
}

function longestSeconds({ use }: ProbeContext): number {
	return use === "startup" ? cloudRunStartupS : cloudRunLivenessS;
}

function readChecks(reader: ObjectReader, probe: KubernetesProbe, context: ProbeContext): void {
	const given: string[] = [];
	const http = reader.object("httpGet");
	if (http) {
		given.push("httpGet");
		probe.httpGet = readHttp(http, context);
	}
	const tcp = reader.object("tcpSocket");
	if (tcp) {
		given.push("tcpSocket");
		const port = readPort(tcp, context);
		tcp.refuse({ host: "Probes go to the container itself" });
		tcp.end();
		probe.tcpSocket = port === undefined ? {} : { port };
	}
	const grpc = reader.object("grpc");
	if (grpc) {
		given.push("grpc");
		const port = grpc.bounded("port", 0, 65_535);
		const service = grpc.text("service");
		grpc.end();
		probe.grpc = { ...(port ? { port } : {}), ...(service === undefined ? {} : { service }) };
	}
	if (context.profile === "cloudrun")
		reader.refuse({ exec: "Cloud Run has no exec probes: use httpGet, tcpSocket or grpc" });
	const exec = reader.object("exec");
	if (exec) {
		given.push("exec");
		probe.exec = { command: exec.texts("command") ?? [] };
		if (probe.exec.command.length === 0) exec.problems.missing(exec.at("command"));
		exec.end();
	}
	if (given.length > 1) reader.problems.both(reader.path, given);
	// Knative gives a readiness probe without a check the default one (revision_defaults.go applyUserContainerDefaultReadinessProbe).
	const hasDefault = context.use === "readiness" && context.portName !== undefined;
	if (given.length === 0 && !hasDefault) reader.problems.neither(reader.path, ["httpGet", "tcpSocket", "grpc"]);
}

function readHttp(http: ObjectReader, context: ProbeContext): NonNullable<KubernetesProbe["httpGet"]> {
	const path = http.text("path");
	const port = readPort(http, context);
	const scheme = http.text("scheme");
	if (scheme !== undefined && scheme !== "" && scheme !== "HTTP")
		http.problems.invalid(scheme, http.at("scheme"), "must be HTTP: containers are spoken to without TLS");
	http.refuse({ host: "Probes go to the container itself; set the Host header in httpHeaders" });
	const headers = http.objects("httpHeaders").map((header) => {
		const name = header.text("name") ?? "";
		const value = header.text("value") ?? "";
		if (!/^[-A-Za-z0-9!#$%&'*+.^_`|~]+$/.test(name))
			header.problems.invalid(name, header.at("name"), "must be the name of an HTTP header");
		if (/[\r\n]/.test(value)) header.problems.invalid(value, header.at("value"), "must be one line");
		header.end();
		return { name, value };
	});
	if (headers.length > maxHeaders)
		http.problems.invalid(headers.length, http.at("httpHeaders"), `must have at most ${maxHeaders} items`);
	if (path !== undefined && /[\s\p{Cc}]/u.test(path))
		http.problems.invalid(path, http.at("path"), "must be a URL's path");
	http.end();
	return {
		...(path === undefined ? {} : { path }),
		...(port === undefined ? {} : { port }),
		...(scheme ? { scheme } : {}),
		...(headers.length > 0 ? { httpHeaders: headers } : {}),
	};
}

/** A number, or the container port's name, which means that port (and is dropped). */
function readPort(check: ObjectReader, { portName }: ProbeContext): number | undefined {
	const value = check.any("port");
	if (typeof value === "string" && value !== "" && !/^\d+$/.test(value)) {
		if (value !== portName) check.problems.invalid(value, check.at("port"), "Probe port must match container port");
		return undefined;
	}
	const port = typeof value === "string" && value !== "" ? Number(value) : value === "" ? 0 : check.integer("port");
	if (port !== undefined && (port < 0 || port > 65_535)) check.problems.outOfBounds(port, 0, 65_535, check.at("port"));
	if (!port && portName === undefined) check.problems.invalid(0, check.at("port"), "Probe port must be specified");
	return port || undefined;
}

/** periodSeconds 0 or unset is Knative's own probe: as often as it answers. */
function checkAggressive(reader: ObjectReader, probe: KubernetesProbe, { profile }: ProbeContext): void {
	if (probe.periodSeconds || profile === "cloudrun") return;
	for (const field of ["failureThreshold", "timeoutSeconds"] as const)
		if (probe[field]) reader.problems.add(`${field} is disallowed when periodSeconds is zero`, reader.at(field));
}

function checkCloudRun(reader: ObjectReader, probe: KubernetesProbe, { use }: ProbeContext): void {
	const { timeoutSeconds = 1, periodSeconds = 10, failureThreshold = 3 } = probe;
	if (timeoutSeconds > periodSeconds)
		reader.problems.outOfBounds(timeoutSeconds, 1, periodSeconds, reader.at("timeoutSeconds"));
	if (use !== "startup" && probe.tcpSocket)
		reader.problems.disallowed(reader.at("tcpSocket"), `A ${use} probe is httpGet or grpc`);
	if (use === "startup" && failureThreshold * periodSeconds > cloudRunStartupS)
		reader.problems.invalid(
			failureThreshold,
			reader.at("failureThreshold"),
			`failureThreshold × periodSeconds must be at most ${cloudRunStartupS} seconds`,
		);
}
