import { once } from "node:events";
import { request as connect, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Where the suite looks for the address that all services are behind, when their names do not resolve. */
const ingressPath = "/api/v1/namespaces/istio-system/services/istio-ingressgateway";

/**
 * Stands between the suite and the daemon's API and passes everything on but one request: for the cluster's ingress, which is
 * how the suite learns where to send what goes to NAME.NAMESPACE.localhost on machines that can't resolve that.
 */
export async function startIngressRecord(daemonUrl: string): Promise<AsyncDisposable & { host: string }> {
	const server = createServer((request, response) => {
		if (request.url === ingressPath) answerIngress(response);
		else passOn(daemonUrl, request, response);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await once(server, "close");
		},
	};
}

function answerIngress(response: ServerResponse): void {
	const [namespace, name] = ["istio-system", "istio-ingressgateway"];
	response.writeHead(200, { "Content-Type": "application/json" });
	response.end(
		JSON.stringify({
			apiVersion: "v1",
			kind: "Service",
			metadata: { name, namespace },
			spec: { type: "LoadBalancer" },
			status: { loadBalancer: { ingress: [{ ip: "127.0.0.1" }] } },
		}),
	);
}

function passOn(daemonUrl: string, request: IncomingMessage, response: ServerResponse): void {
	const { host } = new URL(daemonUrl);
	const onward = connect(daemonUrl + request.url, {
		method: request.method ?? "GET",
		headers: { ...request.headers, host },
	});
	onward.on("response", (answer) => {
		response.writeHead(answer.statusCode ?? 502, answer.headers);
		answer.pipe(response);
		answer.on("error", () => response.destroy());
	});
	onward.on("error", () => response.destroy());
	response.on("close", () => onward.destroy());
	request.pipe(onward);
}
