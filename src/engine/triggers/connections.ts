import { SlipwayError } from "../../base/error.ts";
import type {
	BrokerAdapter,
	BrokerAddress,
	BrokerKind,
	EventSink,
	EventSource,
	OutgoingMessage,
	SourceOptions,
} from "../../core/event-source/event-source.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import { readConnection } from "../../core/trigger/read-connection.ts";
import { type Connection, connectionKind, type SecretReference } from "../../core/trigger/trigger.ts";

export interface ConnectionsDeps {
	store: ResourceStore;
	adapters: Readonly<Record<BrokerKind, BrokerAdapter>>;
	/** NOT_FOUND for one that is not there. Asked at each connecting: a changed secret is used from then on. */
	secret: (reference: SecretReference) => Promise<string>;
}

/** A connection costs sockets at both ends only while it is used; its document is kept in memory. */
const maxConnections = 1000;
/** What `get` and `list` show in place of a password; `apply` with it keeps the one that is there. */
export const maskedSecret = "********";

/** The brokers outside that this installation knows, and what publishes to them. */
export class Connections implements AsyncDisposable {
	readonly #deps: ConnectionsDeps;
	readonly #connections = new Map<string, Connection>();
	readonly #sinks = new Map<string, Promise<EventSink>>();
	readonly #users: ((name: string) => string | undefined)[] = [];
	readonly #listeners: ((name: string) => Promise<void>)[] = [];
	#last: Promise<unknown> = Promise.resolve();

	static async open(deps: ConnectionsDeps): Promise<Connections> {
		const connections = new Connections(deps);
		for (const { name, document } of await deps.store.list(connectionKind))
			connections.#connections.set(name, document as Connection);
		return connections;
	}

	private constructor(deps: ConnectionsDeps) {
		this.#deps = deps;
	}

	/** Makes or replaces it; what uses it connects anew. INVALID, EXHAUSTED; CONFLICT for another kind while a trigger names it. */
	apply(document: unknown): Promise<Connection> {
		return this.#change(async () => {
			const connection = this.#withKeptSecret(readConnection(document));
			const { name } = connection;
			const before = this.#connections.get(name);
			const user = before && before.kind !== connection.kind ? this.#userOf(name) : undefined;
			if (user) throw new SlipwayError("CONFLICT", `Trigger ${user} takes messages of ${name} as ${before?.kind}`);
			if (!before && this.#connections.size >= maxConnections)
				throw new SlipwayError("EXHAUSTED", `There are ${maxConnections} connections already`);
			const change = { change: "put", kind: connectionKind, namespace: "", name, document: connection } as const;
			await this.#deps.store.commit([change]);
			this.#connections.set(name, connection);
			await this.#closeSink(name);
			for (const onChange of this.#listeners) await onChange(name);
			return masked(connection);
		});
	}

	/** NOT_FOUND. Without its password. */
	get(name: string): Connection {
		return masked(this.#require(name));
	}

	/** By name, without passwords. */
	list(): Connection[] {
		return [...this.#connections.values()].map(masked).sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** NOT_FOUND; CONFLICT while a trigger names it. */
	remove(name: string): Promise<void> {
		return this.#change(async () => {
			this.#require(name);
			const user = this.#userOf(name);
			if (user) throw new SlipwayError("CONFLICT", `Trigger ${user} uses the connection ${name}; remove it first`);
			await this.#deps.store.commit([{ change: "delete", kind: connectionKind, namespace: "", name }]);
			this.#connections.delete(name);
			await this.#closeSink(name);
		});
	}

	kindOf(name: string): BrokerKind | undefined {
		return this.#connections.get(name)?.kind;
	}

	/** Of the URL: AMQP's virtual host; "/" where there is no such connection. */
	vhostOf(name: string): string {
		const path = URL.parse(this.#connections.get(name)?.url ?? "")?.pathname ?? "";
		return path.length > 1 ? decodeURIComponent(path.slice(1)) : "/";
	}

	/** NOT_FOUND for the connection or its secret. `client` is how the broker shows it. */
	async source(name: string, client: string, options: SourceOptions): Promise<EventSource> {
		const connection = this.#require(name);
		return this.#deps.adapters[connection.kind].source(await this.#address(connection, client), options);
	}

	/** As EventSink.publish; NOT_FOUND for the connection. */
	async publish(name: string, message: OutgoingMessage, signal: AbortSignal): Promise<void> {
		const sink = await this.#sink(name);
		await sink.publish(message, signal);
	}

	/** The name of what uses a connection, if anything does. */
	addUser(userOf: (name: string) => string | undefined, onChange: (name: string) => Promise<void>): void {
		this.#users.push(userOf);
		this.#listeners.push(onChange);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.#sinks.keys()].map((name) => this.#closeSink(name)));
	}

	#sink(name: string): Promise<EventSink> {
		const connection = this.#require(name);
		const known = this.#sinks.get(name);
		if (known) return known;
		const sink = this.#address(connection, "sink").then((address) =>
			this.#deps.adapters[connection.kind].sink(address),
		);
		this.#sinks.set(name, sink);
		// A secret that is not there yet is asked for again.
		sink.catch(() => this.#sinks.delete(name));
		return sink;
	}

	async #closeSink(name: string): Promise<void> {
		const sink = this.#sinks.get(name);
		this.#sinks.delete(name);
		await (await sink?.catch(() => undefined))?.[Symbol.asyncDispose]();
	}

	async #address({ url, password, tls }: Connection, client: string): Promise<BrokerAddress> {
		const secret = password && ("value" in password ? password.value : await this.#deps.secret(password));
		return { url: new URL(url), password: secret, ca: tls?.ca, clientName: `slipway/${client}` };
	}

	#withKeptSecret(connection: Connection): Connection {
		const { password, name } = connection;
		if (!password || !("value" in password) || password.value !== maskedSecret) return connection;
		const kept = this.#connections.get(name)?.password;
		if (kept) return { ...connection, password: kept };
		throw new SlipwayError("INVALID", `${maskedSecret} stands for a password that is kept, and ${name} has none`);
	}

	#userOf(name: string): string | undefined {
		return this.#users.map((userOf) => userOf(name)).find((user) => user !== undefined);
	}

	#require(name: string): Connection {
		const connection = this.#connections.get(name);
		if (connection) return connection;
		throw new SlipwayError("NOT_FOUND", `There is no connection '${name}'`);
	}

	#change<T>(work: () => Promise<T>): Promise<T> {
		const result = this.#last.then(work);
		this.#last = result.catch(() => {});
		return result;
	}
}

function masked(connection: Connection): Connection {
	const { password } = connection;
	return password && "value" in password ? { ...connection, password: { value: maskedSecret } } : connection;
}
