/** Serves what containers of ours ask for by an internal name (NAME.internal) on connections that their sandbox hands over. */
import type { Socket } from "node:net";
import { http } from "../../base/http.ts";
import type { GatewayFront } from "./gateway-front.ts";
import { mayUpgrade } from "./request-check.ts";

/** As for requests from outside: a container is no more trusted than a client. */
const maxHeaderBytes = 32 * 1024;
const headersTimeoutMs = 10_000;

export interface InternalServer extends Disposable {
	/** For `InternalNetwork.onInternal` (src/daemon). */
	accept(socket: Socket): void;
}

export function createInternalServer(front: GatewayFront["internal"]): InternalServer {
	const server = http.createServer({
		maxHeaderSize: maxHeaderBytes,
		headersTimeout: headersTimeoutMs,
		requestTimeout: 0,
		connectionsCheckingInterval: 5_000,
		shouldUpgradeCallback: mayUpgrade,
	});
	// From this event on the limits of time hold (lib/_http_server.js, setupConnectionsTracking): it never listens by itself.
	server.emit("listening");
	server.on("request", (request, response) => void front.handle(request, response));
	server.on("checkContinue", (request, response) => void front.handle(request, response));
	server.on("upgrade", (request, socket, head) => void front.upgrade(request, socket, head));
	return {
		accept: (socket) => void server.emit("connection", socket),
		[Symbol.dispose]: () => {
			server.closeAllConnections();
			server.close();
		},
	};
}
