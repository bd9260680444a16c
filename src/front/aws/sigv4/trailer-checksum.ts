import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { AwsError } from "../errors.ts";

/** A checksum sent after the body it covers, base64 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html). */
export class TrailerChecksum {
	readonly name: string;
	readonly #hash: Hash | undefined;
	#crc = 0;

	constructor(name: string) {
		this.name = name;
		if (name === "x-amz-checksum-sha1" || name === "x-amz-checksum-sha256")
			this.#hash = createHash(name.slice("x-amz-checksum-".length));
		else if (name !== "x-amz-checksum-crc32")
			throw new AwsError(
				"InvalidRequestException",
				400,
				`The trailer '${name.slice(0, 60)}' is not supported: use x-amz-checksum-crc32, x-amz-checksum-sha1 or x-amz-checksum-sha256`,
			);
	}

	update(data: Buffer): void {
		if (this.#hash) this.#hash.update(data);
		else this.#crc = crc32(data, this.#crc);
	}

	verify(value: string): void {
		const actual = this.#hash ? this.#hash.digest("base64") : crcBase64(this.#crc);
		if (actual !== value)
			throw new AwsError("BadDigestException", 400, `The body does not match its trailer '${this.name}'`);
	}
}

function crcBase64(crc: number): string {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(crc);
	return bytes.toString("base64");
}
