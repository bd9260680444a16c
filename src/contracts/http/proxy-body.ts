/** A request's body on its way from the client to the container, at the speed of the slower of the two. */
import type { Readable } from "node:stream";
import { forwardedTrailers } from "./forwarding-headers.ts";

/** Where it goes. */
export interface BodySink {
	/** False: wait for the drain. */
	write(chunk: Buffer): boolean;
	onceDrained(callback: () => void): void;
	end(trailers: [string, string][]): void;
}

export interface BodySource extends Readable {
	readonly rawTrailers: string[];
}

export interface BodyEvents {
	onBytes(count: number): void;
	/** More than `maxBytes`: nothing more is read. */
	onTooLarge(): void;
}

/** Begins at once; the returned function ends it and leaves the source to somebody else. */
export function pumpBody(source: BodySource, sink: BodySink, maxBytes: number, events: BodyEvents): () => void {
	let bytes = 0;
	const stop = () => {
		source.off("data", onData);
		source.off("end", onEnd);
	};
	const onData = (chunk: Buffer) => {
		bytes += chunk.length;
		events.onBytes(chunk.length);
		if (bytes > maxBytes) {
			stop();
			source.pause();
			return events.onTooLarge();
		}
		if (sink.write(chunk)) return;
		source.pause();
		sink.onceDrained(() => source.resume());
	};
	const onEnd = () => {
		stop();
		sink.end(forwardedTrailers(source.rawTrailers ?? []));
	};
	source.on("data", onData);
	source.on("end", onEnd);
	return stop;
}
