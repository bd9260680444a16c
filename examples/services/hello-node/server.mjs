// A web server as one writes it in Node, without a framework: no adapter, nothing of any cloud. The same image is a service
// behind the gateway and a Lambda function whose events come as HTTP requests.
import { createServer } from "node:http";

const port = Number(process.env.PORT ?? 8080);
const name = process.env.K_REVISION ?? process.env.AWS_LAMBDA_FUNCTION_NAME ?? "nowhere";
let served = 0;

const server = createServer(async (request, response) => {
	const url = new URL(request.url ?? "/", "http://hello");
	// A revision with BROKEN=1 is one with a bug in it, to see it rolled back.
	if (url.pathname === "/fail" || process.env.BROKEN) return void response.writeHead(500).end("failed\n");
	if (url.pathname === "/slow")
		await new Promise((resolve) => setTimeout(resolve, Number(url.searchParams.get("ms") ?? 1000)));
	const body = await Array.fromAsync(request);
	response.writeHead(200, { "content-type": "application/json" });
	response.end(
		`${JSON.stringify({ hello: name, method: request.method, path: request.url, body: Buffer.concat(body).toString(), served: ++served })}\n`,
	);
});

server.listen(port, () => console.log(`Listening on ${port}`));
process.once("SIGTERM", () => {
	// Requests in flight end first; what is idle goes at once.
	server.close(() => process.exit());
	server.closeIdleConnections();
});
