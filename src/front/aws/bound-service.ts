import { type Protocol, protocolOf, type RequestLine, spokenProtocol } from "./protocol/protocol.ts";
import { loadService } from "./schema/published.ts";
import type { AwsService } from "./service.ts";

interface Protocols {
	own: Protocol;
	/** Of a service that speaks it too. */
	query: Protocol | undefined;
}

/** A service with its published schemas, which are read when the service is first asked for. */
export class BoundService {
	readonly service: AwsService;
	#loading: Promise<Protocols> | undefined;
	#loaded: Protocols | undefined;

	constructor(service: AwsService) {
		this.service = service;
	}

	/** A promise only while the schemas are being read: to wait for one costs each request a turn. */
	protocol(line: Pick<RequestLine, "headers">): Protocol | Promise<Protocol> {
		const { service } = this;
		const choose = (protocols: Protocols) => {
			const spoken = spokenProtocol(service, line);
			return spoken === service.protocol ? protocols.own : (protocols.query ?? protocols.own);
		};
		return this.#loaded ? choose(this.#loaded) : this.load().then(choose);
	}

	load(): Promise<Protocols> {
		this.#loading ??= this.#load();
		return this.#loading;
	}

	async #load(): Promise<Protocols> {
		const published = await loadService(this.service.sdkPackage);
		const names = new Set(published.operations.map((operation) => operation.name));
		const { handlers, rawHandlers = {}, streamHandlers = {} } = this.service;
		const handled = [handlers, rawHandlers, streamHandlers].flatMap((table) => Object.keys(table));
		const unknown = handled.filter((name) => !names.has(name));
		if (unknown.length > 0)
			throw new Error(`The service '${this.service.name}' publishes no operation ${unknown.join(", ")}`);
		const own = protocolOf(this.service, published);
		const query = this.service.queryCompatible ? protocolOf(this.service, published, "query") : undefined;
		this.#loaded = { own, query };
		return this.#loaded;
	}
}
