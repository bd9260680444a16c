import { resolve } from "node:path";
import { namespaceOf, namespaceOption, usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "domain add HOST --service NAME | --route NAME [--tls dev|acme|none | --cert FILE --key FILE]",
	summary: "Give a host name to a service, to a route, or to both",
	positionals: [1, 1],
	options: {
		service: { type: "string", value: "NAME", description: "The service that answers there" },
		tag: { type: "string", value: "TAG", description: "The service's revision with this tag" },
		route: { type: "string", value: "NAME", description: "The route whose rules hold there, before the service" },
		tls: {
			type: "string",
			value: "WHO",
			description: "dev: this installation's authority; acme: a public one; none (none)",
		},
		cert: { type: "string", value: "FILE", description: "Certificate chain in PEM, on the daemon's machine" },
		key: { type: "string", value: "FILE", description: "Its private key" },
		...namespaceOption,
		...jsonOption,
	},
	examples: [
		["slipway domain add shop.example.com --service shop --tls acme", ""],
		["slipway domain add api.test --route api --tls dev", ""],
	],
	run: add,
};

async function add(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const [service, route, tag] = [text(values.service), text(values.route), text(values.tag)];
	if (service === undefined && route === undefined) throw usage("--service or --route is missing");
	const domain = await context.client().workloads.applyDomain({
		host: positionals[0] ?? "",
		...(service !== undefined && { service, namespace: namespaceOf(call), ...(tag && { tag }) }),
		...(route !== undefined && { route }),
		tls: tlsOf(values),
	});
	if (values.json) context.printJson(domain);
	else context.print(`${domain.tls === "none" ? "http" : "https"}://${domain.host}`);
	if (domain.tls === "acme")
		context.err.write("Its certificate is being asked for: `slipway domain ls` shows how it goes.\n");
	if (service !== undefined && !(await isThere(call, service)))
		context.err.write(`There is no service '${service}' yet: the domain leads to it when there is.\n`);
	return exitCodes.ok;
}

async function isThere(call: Call, service: string): Promise<boolean> {
	const { workloads } = call.context.client();
	const services = await workloads.services(namespaceOf(call));
	return services.some(({ metadata }) => metadata.name === service);
}

function tlsOf(values: Call["values"]): string | { cert: string; key: string } {
	const [tls, cert, key] = [text(values.tls), text(values.cert), text(values.key)];
	if (cert === undefined && key === undefined) return tls ?? "none";
	if (cert === undefined || key === undefined || tls !== undefined)
		throw usage("--cert and --key go together, and without --tls");
	return { cert: resolve(cert), key: resolve(key) };
}
