/** The whole way of a request, over real sockets, with a container that is a server in this process. For tests. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { systemClock } from "../base/clock.ts";
import { randomIds } from "../base/ids.ts";
import { type Log, silentLog } from "../base/log.ts";
import { createForward } from "../contracts/http/proxy.ts";
import { UpstreamConnections } from "../contracts/http/upstream-connections.ts";
import type { AdmittedRequest, RequestAdmission, RequestOutcome } from "../core/service/request-admission.ts";
import type { ServiceRevision } from "../core/service/service-revision.ts";
import type { ServiceRoute } from "../core/service/traffic.ts";
import { createGatewayFront, type GatewayDeps, type GatewayFront } from "../front/gateway/gateway-front.ts";
import type { AccessRecord } from "../front/gateway/ports.ts";
import { type Listener, type ListenerOptions, startListener } from "./listener.ts";

export interface TestGateway {
	listener: Listener;
	front: GatewayFront;
	/** Of the service "hello". */
	host: string;
	records: AccessRecord[];
	outcomes: RequestOutcome[];
	/** Open connections at the container, and all that there were. */
	upstream: { open: Set<Socket>; made: number };
	connections: UpstreamConnections;
	/** What the instance's end does. */
	gone: AbortController;
}

export interface TestGatewayOptions {
	revision?: Partial<Omit<ServiceRevision, "workload">> & { protocol?: "http1" | "h2c" };
	route?: Partial<ServiceRoute>;
	deps?: Partial<GatewayDeps>;
	listener?: Partial<ListenerOptions>;
	admit?: RequestAdmission["admit"];
	log?: Log;
	/** In place of a connection to the container. */
	connect?: (open: () => Promise<Socket>) => Promise<Socket>;
	/** The container answers the end of a connection by itself. */
	halfOpen?: boolean;
}

/** `container`: what listens, or what is done with each connection to it. */
export async function testGateway(
	context: TestContext,
	container: Pick<Server, "emit"> | ((socket: Socket) => void),
	options: TestGatewayOptions = {},
): Promise<TestGateway> {
	const upstream: TestGateway["upstream"] = { open: new Set(), made: 0 };
	const server = createServer({ allowHalfOpen: options.halfOpen ?? false, noDelay: true }, (socket) => {
		upstream.made++;
		upstream.open.add(socket);
		socket.on("error", () => {});
		socket.once("close", () => upstream.open.delete(socket));
		if (typeof container === "function") container(socket);
		else container.emit("connection", socket);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const gone = new AbortController();
	const outcomes: RequestOutcome[] = [];
	const records: AccessRecord[] = [];
	const connections = new UpstreamConnections(systemClock, options.log ?? silentLog);
	const admitted = fakeAdmitted(
		(server.address() as { port: number }).port,
		options.revision ?? {},
		gone.signal,
		outcomes,
		options.connect,
	);
	const route = testRoute(options.route);
	const front = createGatewayFront({
		routes: {
			find: (namespace, service, tag) =>
				namespace === "default" && service === "hello" && tag === route.tag ? route : undefined,
		},
		admission: { admit: options.admit ?? (async () => admitted) },
		forward: createForward({ clock: systemClock, log: options.log ?? silentLog, connections }),
		domains: ["localhost"],
		random: Math.random,
		accessLog: { record: (record) => records.push(record) },
		closing: new AbortController().signal,
		clock: systemClock,
		ids: randomIds,
		log: options.log ?? silentLog,
		...options.deps,
	});
	const named = (name: string) => (_request: unknown, response: { end(text: string): unknown }) =>
		void response.end(name);
	const listener = await startListener({
		fronts: {
			aws: named("aws"),
			registry: named("registry"),
			api: named("api"),
			cloudEvents: named("cloudEvents"),
			functionUrl: named("functionUrl"),
			gateway: front,
		},
		listen: { host: "127.0.0.1", port: 0 },
		ready: () => true,
		log: options.log ?? silentLog,
		...options.listener,
	});
	context.after(async () => {
		gone.abort();
		for (const socket of upstream.open) socket.destroy();
		server.close();
		await listener.close(AbortSignal.abort());
	});
	return { listener, front, host: "hello.localhost", records, outcomes, upstream, connections, gone };
}

export function testRoute(more: Partial<ServiceRoute> = {}): ServiceRoute {
	return {
		namespace: "default",
		service: "hello",
		tag: undefined,
		targets: [{ revision: "hello-00001", percent: 100 }],
		ingress: "all",
		sessionAffinity: false,
		reason: undefined,
		...more,
	};
}

function fakeAdmitted(
	port: number,
	{ protocol = "http1", ...revision }: NonNullable<TestGatewayOptions["revision"]>,
	gone: AbortSignal,
	outcomes: RequestOutcome[],
	through: NonNullable<TestGatewayOptions["connect"]> = (open) => open(),
): AdmittedRequest {
	const open = async () => {
		const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
		await once(socket, "connect");
		return socket;
	};
	return {
		revision: {
			namespace: "default",
			service: "hello",
			name: "hello-00001",
			profile: "knative",
			timeoutMs: 300_000,
			responseStartTimeoutMs: 0,
			idleTimeoutMs: undefined,
			sessionAffinity: false,
			workload: { containers: [{ port: { number: 8080, protocol } }] },
			...revision,
		} as unknown as ServiceRevision,
		instance: {
			id: "i-1",
			gone,
			connect: () => through(open),
		},
		cold: false,
		waitedMs: 0,
		release: (outcome) => void outcomes.push(outcome),
	};
}

/** Sends raw bytes and resolves with all that comes back until the other side closes. */
export async function raw(port: number, ...parts: (string | Buffer)[]): Promise<string> {
	const socket = connect(port, "127.0.0.1");
	for (const part of parts) socket.write(part);
	return text(socket);
}

/** Waits for what must become true soon. */
export async function until(what: () => boolean, why: string, ms = 3000): Promise<void> {
	const end = performance.now() + ms;
	while (!what()) {
		if (performance.now() > end) throw new Error(`Not so after ${ms} ms: ${why}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}
