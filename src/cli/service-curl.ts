import { request } from "node:http";
import { pipeline } from "node:stream/promises";
import { SlipwayError } from "../base/error.ts";
import { namespaceOption, pairsOf } from "./options.ts";
import { urlOf } from "./service-url.ts";
import { type Call, exitCodes, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service curl NAME [PATH] [-d BODY] [-X METHOD]",
	summary: "Send a service one request, whatever this machine's resolver makes of its host name",
	details:
		"The body goes to standard output, status and headers to standard error with -i. The exit code is 1 from status 400 on.",
	positionals: [1, 2],
	options: {
		method: { type: "string", short: "X", value: "METHOD", description: "GET, or POST with a body" },
		data: { type: "string", short: "d", value: "BODY", description: "Body" },
		header: { type: "string", short: "H", multiple: true, value: "NAME=VALUE", description: "Header; repeatable" },
		include: { type: "boolean", short: "i", description: "Show status and headers" },
		tag: { type: "string", value: "TAG", description: "The revision that has this tag" },
		...namespaceOption,
	},
	examples: [["slipway service curl hello /api/items", ""]],
	run: curl,
};

async function curl(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const url = new URL(positionals[1] ?? "/", await urlOf(call));
	if (url.protocol !== "http:")
		throw new SlipwayError("UNSUPPORTED", `${url.href} is not http`, { hint: `curl ${url.href}` });
	const body = text(values.data);
	const headers = Object.fromEntries(pairsOf("header", values.header).map(({ name, value }) => [name, value]));
	// Names below localhost are this machine by RFC 6761, which not every resolver knows.
	const hostname = url.hostname.endsWith(".localhost") ? "127.0.0.1" : url.hostname;
	return new Promise((resolve, reject) => {
		const sent = request(
			{
				hostname,
				port: url.port || 80,
				path: `${url.pathname}${url.search}`,
				method: text(values.method) ?? (body === undefined ? "GET" : "POST"),
				headers: { host: url.host, ...headers },
				agent: false,
			},
			(answer) => {
				const { statusCode = 0, statusMessage = "", rawHeaders } = answer;
				if (values.include) {
					context.err.write(`${statusCode} ${statusMessage}\n`);
					for (let index = 0; index < rawHeaders.length; index += 2)
						context.err.write(`${rawHeaders[index]}: ${rawHeaders[index + 1]}\n`);
				}
				pipeline(answer, context.out, { end: false }).then(
					() => resolve(statusCode >= 400 ? exitCodes.failed : exitCodes.ok),
					reject,
				);
			},
		);
		sent.once("error", (error) => reject(new SlipwayError("UNAVAILABLE", `${url.href}: ${error.message}`)));
		sent.end(body);
	});
}
