/** A service that takes CloudEvents with the CloudEvents SDK: POST keeps what it parsed, GET tells it. */
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { HTTP } from "cloudevents";

const seen = [];

createServer(async (request, response) => {
	const body = await text(request);
	if (request.method === "GET") return response.end(JSON.stringify(seen));
	const path = request.url;
	try {
		const event = HTTP.toEvent({ headers: request.headers, body });
		seen.push({ path, event: event.toJSON(), contentType: request.headers["content-type"] });
	} catch (error) {
		seen.push({ path, error: String(error), headers: request.headers, body });
	}
	if (path === "/fail") {
		response.statusCode = 500;
		return response.end("told to fail");
	}
	if (path === "/reply") {
		const event = HTTP.toEvent({ headers: request.headers, body });
		const reply = HTTP.binary(event.cloneWith({ id: `${event.id}-reply`, type: "Replied" }));
		response.writeHead(200, reply.headers);
		return response.end(reply.body);
	}
	response.statusCode = 202;
	response.end();
}).listen(Number(process.env.PORT ?? 8080));
