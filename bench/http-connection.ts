import { createHash, createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Answer {
	status: number;
	head: string;
	body: Buffer;
}

/**
 * One kept-alive HTTP/1.1 connection with one request at a time, and next to no cost of its own: what is measured is the
 * server. The caller brings whole requests as bytes.
 */
export class HttpConnection {
	readonly #socket: Socket;
	#received: Buffer = Buffer.alloc(0);
	#waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.setNoDelay(true);
		socket.on("data", (bytes: Buffer) => this.#receive(bytes));
		socket.on("error", (error) => this.#fail(error));
		socket.on("close", () => this.#fail(new Error("The server closed the connection")));
	}

	static async open(url: string): Promise<HttpConnection> {
		const { hostname, port } = new URL(url);
		const socket = connect(Number(port), hostname);
		await once(socket, "connect");
		return new HttpConnection(socket);
	}

	send(request: Buffer): Promise<Answer> {
		return new Promise((resolve, reject) => {
			if (this.#socket.destroyed) return reject(new Error("The server has closed the connection"));
			this.#waiting = { resolve, reject };
			this.#socket.write(request);
		});
	}

	close(): void {
		this.#socket.destroy();
	}

	#fail(error: Error): void {
		this.#waiting?.reject(error);
		this.#waiting = undefined;
	}

	#receive(bytes: Buffer): void {
		this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
		const headEnd = this.#received.indexOf("\r\n\r\n");
		if (headEnd < 0) return;
		const head = this.#received.toString("latin1", 0, headEnd);
		const status = Number(head.slice(9, 12));
		const length = status === 204 ? "0" : /^content-length: *(\d+)/im.exec(head)?.[1];
		const start = headEnd + 4;
		if (length === undefined && !this.#received.subarray(-5).equals(Buffer.from("0\r\n\r\n"))) return; // chunked
		if (length !== undefined && this.#received.length < start + Number(length)) return;
		const answer = { status, head, body: this.#received.subarray(start) };
		this.#received = Buffer.alloc(0);
		const waiting = this.#waiting;
		this.#waiting = undefined;
		waiting?.resolve(answer);
	}
}

export interface Keys {
	accessKeyId: string;
	secretAccessKey: string;
}

/** A whole request, signed as the AWS SDKs do (Signature Version 4). Made before the clock starts. */
export function signedRequest(
	options: {
		url: string;
		method: string;
		path: string;
		body: string;
		region: string;
		/** As the signature's scope names it; "lambda" where it is left out. */
		service?: string;
		headers?: Record<string, string>;
	},
	keys: Keys,
): Buffer {
	const { method, path, body, region, service = "lambda" } = options;
	const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
	const headers: Record<string, string> = {
		"amz-sdk-invocation-id": randomUUID(), // two requests in a second must not look like a replay
		"content-type": "application/json",
		host: new URL(options.url).host,
		...options.headers,
		"x-amz-date": time,
	};
	const names = Object.keys(headers).sort();
	const canonicalHeaders = names.map((name) => `${name}:${headers[name]}\n`).join("");
	const hash = (text: string) => createHash("sha256").update(text).digest("hex");
	// A colon before a qualifier, say, is signed as it would be escaped.
	const canonicalPath = path.split("/").map(encodeURIComponent).join("/");
	const canonical = [method, canonicalPath, "", canonicalHeaders, names.join(";"), hash(body)].join("\n");
	const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
	const toSign = ["AWS4-HMAC-SHA256", time, scope, hash(canonical)].join("\n");
	const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
	const key = scope.split("/").reduce<string | Buffer>(hmac, `AWS4${keys.secretAccessKey}`);
	const signature = createHmac("sha256", key).update(toSign).digest("hex");
	const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
	const lines = names.map((name) => `${name}: ${headers[name]}\r\n`).join("");
	const length = Buffer.byteLength(body);
	return Buffer.from(
		`${method} ${path} HTTP/1.1\r\n${lines}authorization: ${authorization}\r\ncontent-length: ${length}\r\n\r\n${body}`,
	);
}

/** The same without any authentication, for baselines. */
export function plainRequest(path: string, body: string): Buffer {
	const length = Buffer.byteLength(body);
	return Buffer.from(`POST ${path} HTTP/1.1\r\nhost: baseline\r\ncontent-length: ${length}\r\n\r\n${body}`);
}

/** `host` as the Host header has it. */
export function getRequest(host: string, path = "/"): Buffer {
	return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
}
