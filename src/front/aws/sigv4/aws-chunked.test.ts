import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import type { Authorization } from "./authorization.ts";
import { type ChunkedOptions, decodeAwsChunked } from "./aws-chunked.ts";
import { SigningKeys } from "./signing-key.ts";

// The worked example of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: 65 KiB of "a" in two chunks.
const scope = { date: "20130524", region: "us-east-1", service: "s3", terminator: "aws4_request" };
const authorization: Authorization = {
	kind: "header",
	accessKeyId: "AKIAIOSFODNN7EXAMPLE",
	scope,
	signedHeaders: ["host"],
	signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	timestamp: "20130524T000000Z",
	timeMs: Date.parse("2013-05-24T00:00:00Z"),
	expiresS: undefined,
	securityToken: undefined,
};
const key = new SigningKeys().get("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope);
const signatures = [
	"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
	"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
	"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
const example = (["a".repeat(65536), "a".repeat(1024), ""] as const)
	.map((data, i) => `${data.length.toString(16)};chunk-signature=${signatures[i]}\r\n${data}\r\n`)
	.join("");
const signing = { key, authorization };

describe("aws-chunked bodies", () => {
	it("verifies AWS's own example, however it is cut up", async () => {
		for (const size of [1, 7, 1000, 65536, 1_000_000])
			assert.equal((await decode(example, { signing, decodedLength: 66560 }, size)).toString(), "a".repeat(66560));
	});
	it("refuses a changed byte, chunk order, size and signature", async () => {
		const wrong = /chunk signature/;
		await assert.rejects(decode(example.replace("aaa", "aab"), { signing }), wrong);
		await assert.rejects(decode(example.replace(signatures[1]!, signatures[0]!), { signing }), wrong);
		await assert.rejects(decode(example.replace(`;chunk-signature=${signatures[0]}`, ""), { signing }), wrong);
		await assert.rejects(decode(example.replace(signatures[2]!, "0".repeat(64)), { signing }), wrong);
	});
	it("yields nothing of a chunk that is not verified", async () => {
		const got: Buffer[] = [];
		await assert.rejects(async () => {
			for await (const part of decodeAwsChunked(
				cut(example.replace(signatures[0]!, signatures[1]!), 100),
				options({ signing }),
			))
				got.push(part);
		});
		assert.equal(got.length, 0);
	});
	it("refuses malformed framing", async () => {
		for (const [text, why] of [
			["", /too early/],
			["5\r\nabc", /too early/],
			["3\r\nabcdef\r\n0\r\n\r\n", /longer than its header/],
			["x\r\nabc\r\n", /chunk header/],
			["-3\r\nabc\r\n", /chunk header/],
			["ffffffff\r\nabc", /larger than/],
			[`${"1".repeat(5000)}\r\n`, /line is too long/],
			["0\r\nbad trailer\r\n\r\n", /trailer/],
		] as const)
			await assert.rejects(decode(text, { signing: undefined }), why, text.slice(0, 20));
	});
	it("compares with X-Amz-Decoded-Content-Length", async () => {
		await assert.rejects(decode("3\r\nabc\r\n0\r\n\r\n", { signing: undefined, decodedLength: 4 }), /shorter/);
		await assert.rejects(decode("3\r\nabc\r\n0\r\n\r\n", { signing: undefined, decodedLength: 2 }), /longer/);
	});
	it("checks an unsigned body by its trailer", async () => {
		const crc = Buffer.alloc(4);
		crc.writeUInt32BE(crc32("hello world"));
		const body = (sum: string, name = "x-amz-checksum-crc32") =>
			`6\r\nhello \r\n5\r\nworld\r\n0\r\n${name}:${sum}\r\n\r\n`;
		const withCrc = { signing: undefined, trailer: "x-amz-checksum-crc32" };
		assert.equal((await decode(body(crc.toString("base64")), withCrc)).toString(), "hello world");
		await assert.rejects(decode(body("AAAAAA=="), withCrc), /does not match its trailer/);
		await assert.rejects(decode("0\r\n\r\n", withCrc), /missing/);
		const sha = createHash("sha256").update("hello world").digest("base64");
		assert.equal(
			(await decode(body(sha, "x-amz-checksum-sha256"), { signing: undefined, trailer: "x-amz-checksum-sha256" }))
				.length,
			11,
		);
		await assert.rejects(
			decode(body("x"), { signing: undefined, trailer: "x-amz-checksum-crc64nvme" }),
			/not supported/,
		);
	});
	it("verifies a signed trailer", async () => {
		const crc = Buffer.alloc(4);
		crc.writeUInt32BE(crc32(""));
		const line = `x-amz-checksum-crc32:${crc.toString("base64")}`;
		const prefix = `20130524T000000Z\n20130524/us-east-1/s3/aws4_request`;
		const empty = createHash("sha256").digest("hex");
		const first = key
			.sign(`AWS4-HMAC-SHA256-PAYLOAD\n${prefix}\n${authorization.signature}\n${empty}\n${empty}`)
			.toString("hex");
		const hash = createHash("sha256").update(`${line}\n`).digest("hex");
		const last = key.sign(`AWS4-HMAC-SHA256-TRAILER\n${prefix}\n${first}\n${hash}`).toString("hex");
		const body = (signature: string) =>
			`0;chunk-signature=${first}\r\n${line}\r\nx-amz-trailer-signature:${signature}\r\n\r\n`;
		const trailer = "x-amz-checksum-crc32";
		assert.equal((await decode(body(last), { signing, trailer })).length, 0);
		await assert.rejects(decode(body("0".repeat(64)), { signing, trailer }), /chunk signature/);
	});
});

function options(given: Partial<ChunkedOptions>): ChunkedOptions {
	return { signing: undefined, trailer: undefined, decodedLength: undefined, ...given };
}

async function decode(text: string, given: Partial<ChunkedOptions>, size = 4096): Promise<Buffer> {
	const parts: Buffer[] = [];
	for await (const part of decodeAwsChunked(cut(text, size), options(given))) parts.push(part);
	return Buffer.concat(parts);
}

async function* cut(text: string, size: number): AsyncGenerator<Buffer> {
	const bytes = Buffer.from(text);
	for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
