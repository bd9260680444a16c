import { type Protocol, protocolOf } from "./protocol/protocol.ts";
import { loadService } from "./schema/published.ts";
import type { AwsService } from "./service.ts";

/** A service with its published schemas, which are read when the service is first asked for. */
export class BoundService {
	readonly service: AwsService;
	#protocol: Promise<Protocol> | undefined;
	/** Once it has been read: to wait for a promise costs each request a turn. */
	loaded: Protocol | undefined;

	constructor(service: AwsService) {
		this.service = service;
	}

	protocol(): Promise<Protocol> {
		this.#protocol ??= this.#load();
		return this.#protocol;
	}

	async #load(): Promise<Protocol> {
		const published = await loadService(this.service.sdkPackage);
		const names = new Set(published.operations.map((operation) => operation.name));
		const { handlers, rawHandlers = {}, streamHandlers = {} } = this.service;
		const handled = [handlers, rawHandlers, streamHandlers].flatMap((table) => Object.keys(table));
		const unknown = handled.filter((name) => !names.has(name));
		if (unknown.length > 0)
			throw new Error(`The service '${this.service.name}' publishes no operation ${unknown.join(", ")}`);
		this.loaded = protocolOf(this.service, published);
		return this.loaded;
	}
}
