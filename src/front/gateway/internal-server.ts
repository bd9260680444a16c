/** Serves what containers of ours ask for by an internal name (NAME.internal) on connections that their sandbox hands over. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { http } from "../../base/http.ts";
import type { GatewayFront } from "./gateway-front.ts";
import { mayUpgrade } from "./request-check.ts";

/** As for requests from outside: a container is no more trusted than a client. */
const maxHeaderBytes = 32 * 1024;
const headersTimeoutMs = 10_000;
/**
 * For the whole of a request to what is no service's: some megabytes within one machine. A sandbox that was frozen, or wants to, would
 * hold memory that all callers share for as long as it lives.
 */
const ownBodyMs = 60_000;

export interface InternalServer extends Disposable {
	/** For `InternalNetwork.onInternal` (src/daemon). */
	accept(socket: Socket, owner?: string): void;
}

/** Never rejects. `owner` says whose sandbox asks: "function/NAME", "/slipway/services/NAMESPACE/NAME", …; "" where that is not known. */
type Handle = (request: IncomingMessage, response: ServerResponse, owner: string) => Promise<void>;

/** By host, in lower case; may grow later. */
export type InternalHosts = Map<string, Handle>;

/** `own` has what is no service's, by its host. */
export function createInternalServer(
	front: GatewayFront["internal"],
	clock: Pick<Clock, "after">,
	own: InternalHosts = new Map(),
): InternalServer {
	const server = http.createServer({
		maxHeaderSize: maxHeaderBytes,
		headersTimeout: headersTimeoutMs,
		requestTimeout: 0,
		connectionsCheckingInterval: 5_000,
		shouldUpgradeCallback: mayUpgrade,
	});
	// From this event on the limits of time hold (lib/_http_server.js, setupConnectionsTracking): it never listens by itself.
	server.emit("listening");
	const owners = new WeakMap<Socket, string>();
	const ownerOf = ({ socket }: IncomingMessage) => owners.get(socket) ?? "";
	const ownOf = ({ headers: { host = "" } }: IncomingMessage) => own.get(host.replace(/:\d+$/, "").toLowerCase());
	const onOwn = (handle: Handle, request: IncomingMessage, response: ServerResponse) => {
		response.once(
			"close",
			clock.after(ownBodyMs, () => request.complete || request.destroy()),
		);
		void handle(request, response, ownerOf(request));
	};
	server.on("request", (request, response) => {
		const handle = ownOf(request);
		if (handle) onOwn(handle, request, response);
		else void front.handle(request, response);
	});
	server.on("checkContinue", (request, response) => {
		const handle = ownOf(request);
		if (!handle) return void front.handle(request, response);
		response.writeContinue();
		onOwn(handle, request, response);
	});
	server.on("upgrade", (request, socket, head) => void front.upgrade(request, socket, head));
	return {
		accept: (socket, owner = "") => {
			owners.set(socket, owner);
			server.emit("connection", socket);
		},
		[Symbol.dispose]: () => {
			server.closeAllConnections();
			server.close();
		},
	};
}
