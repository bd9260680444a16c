import type { DomainView } from "../client/service-schema.ts";
import { table } from "./format.ts";
import { describeTarget } from "./route-get.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "domain ls [--json]",
	summary: "List own domains",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway domain ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const domains = await context.client().workloads.domains();
	if (values.json) context.printJson(domains);
	else {
		const rows = domains.map(({ host, target, route, tls, certificate }) => [
			host,
			[...(route === undefined ? [] : [`route ${route}`]), ...(target ? [describeTarget(target)] : [])].join(", then "),
			typeof tls === "string" ? tls : tls.cert,
			describeCertificate(certificate),
		]);
		context.print(table(["DOMAIN", "TARGET", "TLS", "CERTIFICATE"], rows));
	}
	return exitCodes.ok;
}

function describeCertificate(certificate: DomainView["certificate"]): string {
	if (certificate === undefined) return "";
	const { state, until, problem, retryAt } = certificate;
	const days = until === undefined ? "" : `until ${until.slice(0, 10)}`;
	if (problem === undefined) return days || state;
	return `${days && `${days}; `}${until === undefined ? "failed" : "renewal failed"}: ${problem}${retryAt ? ` (next try ${retryAt.slice(0, 19)}Z)` : ""}`;
}
