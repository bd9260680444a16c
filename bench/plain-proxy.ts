/**
 * The baseline for the gateway: the least that a Node process can do between a client and a server that it knows. No routes, no
 * queue, no limits, no time-outs, no log.
 *   node bench/plain-proxy.ts PORT      prints its own port
 */
import { Agent, createServer, request as send } from "node:http";
import { type AddressInfo, connect } from "node:net";

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true });

const server = createServer((request, response) => {
	const { method = "GET", url = "/", headers } = request;
	const onward = send({ host: "127.0.0.1", port, agent, method, path: url, headers });
	onward.on("response", (answer) => {
		response.writeHead(answer.statusCode ?? 502, answer.headers);
		answer.pipe(response);
	});
	onward.on("error", () => response.destroy());
	request.pipe(onward);
});
server.on("upgrade", (request, client) => {
	const { method, url, rawHeaders } = request;
	const lines = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
	const onward = connect(port, "127.0.0.1");
	onward.write([`${method} ${url} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
	onward.on("error", () => client.destroy()).on("close", () => client.destroy());
	client.on("error", () => onward.destroy()).on("close", () => onward.destroy());
	onward.pipe(client).pipe(onward);
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
