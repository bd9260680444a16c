/** A web server as it runs anywhere: nothing in it knows of AWS Lambda. */
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

await sleep(Number(process.env.SLOW_START_MS ?? 0));
let requests = 0;

const server = createServer(async (request, response) => {
	const url = new URL(request.url, "http://server");
	if (url.pathname !== "/ready") requests++;
	const parts = [];
	for await (const part of request) parts.push(part);
	const body = Buffer.concat(parts);
	switch (url.pathname) {
		case "/ready":
			return response.end("ready");
		case "/binary":
			return response.writeHead(200, { "content-type": "application/octet-stream" }).end(Buffer.from([0, 255, 1, 254]));
		case "/fail":
			return response.writeHead(503, { "content-type": "text/plain" }).end("overloaded");
		case "/drip":
			response.writeHead(200, { "content-type": "text/plain", "x-kind": "drip" });
			for (const word of ["one ", "two ", "three"]) {
				response.write(word);
				await sleep(400);
			}
			return response.end();
		case "/flood":
			response.writeHead(200, { "content-type": "text/plain" });
			for (let i = 0; i < 10; i++) if (!response.write("0123456789".repeat(100_000))) await drained(response);
			return response.end();
		case "/exit":
			process.exit(7);
	}
	const answer = {
		requests,
		method: request.method,
		path: url.pathname,
		query: Object.fromEntries(url.searchParams),
		host: request.headers.host,
		kind: request.headers["x-kind"],
		cookie: request.headers.cookie,
		body: body.toString(),
		lambda: JSON.parse(request.headers["x-amzn-lambda-context"] ?? "null"),
	};
	response.writeHead(201, [
		["content-type", "application/json"],
		["x-kind", "echo"],
		["set-cookie", "a=1"],
		["set-cookie", "b=2"],
	]);
	response.end(JSON.stringify(answer));
});

const drained = (response) => new Promise((resolve) => response.once("drain", resolve));

process.on("SIGTERM", () => {
	console.log("the server was asked to stop");
	server.close(() => process.exit(0));
	server.closeAllConnections();
});
server.listen(Number(process.env.PORT ?? 8080), () => console.log("the server listens"));
