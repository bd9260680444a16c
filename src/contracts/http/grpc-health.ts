import type { Socket } from "node:net";

/** The whole module is of no use before somebody has such a probe. */
const http2 = () => process.getBuiltinModule("node:http2");

/** Compressed flag and length before each message (gRPC over HTTP2, Length-Prefixed-Message). */
const prefixBytes = 5;
/** A HealthCheckResponse has two bytes; more than this is no answer to us. */
const maxAnswerBytes = 4096;
/** ServingStatus.SERVING (grpc.health.v1). */
const serving = 1;
const statusNames = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/**
 * grpc.health.v1.Health/Check of `service` ("" is the server) on a connection. Undefined when it serves, else what it said;
 * rejects when there is no answer.
 */
export function grpcHealth(service: string, port: number, socket: Socket): Promise<string | undefined> {
	return new Promise((resolve, reject) => {
		const session = http2().connect(`http://127.0.0.1:${port}`, { createConnection: () => socket });
		session.once("error", reject);
		session.once("close", () => reject(new Error("the connection was closed")));
		const stream = session.request({
			":method": "POST",
			":path": "/grpc.health.v1.Health/Check",
			"content-type": "application/grpc",
			te: "trailers",
		});
		const chunks: Buffer[] = [];
		let bytes = 0;
		let grpcStatus: string | undefined;
		const note = (headers: Record<string, unknown>) => {
			if (headers["grpc-status"] !== undefined) grpcStatus = String(headers["grpc-status"]);
		};
		// An error without a message is in the headers themselves ("Trailers-Only").
		stream.once("response", note);
		stream.once("trailers", note);
		stream.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
			if (bytes > maxAnswerBytes) stream.destroy(new Error("the answer is too long"));
			else chunks.push(chunk);
		});
		stream.once("error", reject);
		stream.once("end", () => {
			if (grpcStatus !== undefined && grpcStatus !== "0") resolve(`answered with gRPC status ${grpcStatus}`);
			else resolve(unwell(Buffer.concat(chunks)));
		});
		stream.end(encodeRequest(service));
	});
}

/** HealthCheckRequest: field 1, a string, length-delimited. */
export function encodeRequest(service: string): Buffer {
	const name = Buffer.from(service);
	const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
	const prefix = Buffer.alloc(prefixBytes);
	prefix.writeUInt32BE(message.length, 1);
	return Buffer.concat([prefix, message]);
}

/** HealthCheckResponse: field 1, an enumeration; left out it is 0. */
export function decodeStatus(frame: Buffer): number | undefined {
	if (frame.length < prefixBytes || frame[0] !== 0) return undefined;
	const message = frame.subarray(prefixBytes, prefixBytes + frame.readUInt32BE(1));
	if (message.length === 0) return 0;
	return message.length >= 2 && message[0] === 0x08 && message[1]! < 0x80 ? message[1] : undefined;
}

function unwell(frame: Buffer): string | undefined {
	const status = decodeStatus(frame);
	if (status === serving) return undefined;
	return status === undefined ? "answered no HealthCheckResponse" : `answered ${statusNames[status] ?? status}`;
}

/** Protocol buffers' base-128 number. */
function varint(value: number): Buffer {
	const bytes: number[] = [];
	let rest = value;
	for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
	return Buffer.from([...bytes, rest]);
}
