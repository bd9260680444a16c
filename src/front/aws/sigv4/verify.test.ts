import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { AwsError } from "../errors.ts";
import { readAuthorization } from "./authorization.ts";
import type { SignedRequest } from "./request.ts";
import { SigV4Verifier, type VerifierOptions } from "./verify.ts";

const secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const signedAt = Date.parse("2015-08-30T12:36:00Z");
const minute = 60_000;

interface Vector {
	name: string;
	kind: "header" | "query";
	request: string;
}
const { vectors } = JSON.parse(readFileSync(new URL("./fixtures/signing-vectors.json", import.meta.url), "utf8")) as {
	vectors: Vector[];
};

describe("SigV4: the published signing vectors", () => {
	for (const vector of vectors)
		it(`${vector.name}, ${vector.kind}`, () => {
			const { request, body } = parse(vector.request);
			verify(request, body);
			// Whatever is changed under the signature, it no longer fits.
			refused(() => verify({ ...request, method: "PATCH" }, body), "InvalidSignatureException", /does not match/);
			refused(
				() => verify({ ...request, path: `${request.path}x` }, body),
				"InvalidSignatureException",
				/does not match/,
			);
			refused(
				() => verify({ ...request, query: `${request.query}&x=y` }, body),
				"InvalidSignatureException",
				/does not match/,
			);
			refused(() => verify(request, Buffer.from("another body")), "InvalidSignatureException", /does not match/);
		});

	it("has both kinds", () => {
		assert.ok(vectors.filter(({ kind }) => kind === "header").length >= 20);
		assert.ok(vectors.filter(({ kind }) => kind === "query").length >= 20);
	});
});

describe("SigV4: time", () => {
	const { request, body } = vector("get-vanilla", "header");
	const presigned = vector("get-vanilla", "query");

	it("allows fifteen minutes of skew both ways, replays included", () => {
		verify(request, body, { now: signedAt + 15 * minute });
		verify(request, body, { now: signedAt + 15 * minute });
		verify(request, body, { now: signedAt - 15 * minute });
	});
	it("refuses what is older", () => {
		refused(
			() => verify(request, body, { now: signedAt + 15 * minute + 1000 }),
			"InvalidSignatureException",
			"Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)",
		);
	});
	it("refuses what comes from the future", () => {
		refused(
			() => verify(request, body, { now: signedAt - 16 * minute }),
			"InvalidSignatureException",
			"Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z (20150830T122000Z + 15 min.)",
		);
	});
	it("lets a presigned request live for X-Amz-Expires and not a second longer", () => {
		verify(presigned.request, presigned.body, { now: signedAt + 3600_000 });
		refused(
			() => verify(presigned.request, presigned.body, { now: signedAt + 3601_000 }),
			"InvalidSignatureException",
			/^Signature expired/,
		);
	});
	it("takes the Date header where there is no X-Amz-Date", () => {
		const dated = withHeaders(request, { "x-amz-date": undefined, Date: "Sun, 30 Aug 2015 12:36:00 GMT" });
		const authorization = readAuthorization(dated);
		assert.equal(authorization?.timestamp, "20150830T123600Z");
	});
});

describe("SigV4: claims", () => {
	const { request, body } = vector("get-vanilla", "header");
	const edit = (from: string | RegExp, to: string) =>
		mapHeaders(request, (name, value) => (name.toLowerCase() === "authorization" ? value.replace(from, to) : value));

	it("knows no other key", () => {
		refused(
			() => verify(edit("AKIDEXAMPLE", "AKIDOTHER"), body),
			"UnrecognizedClientException",
			"The security token included in the request is invalid.",
		);
	});
	it("wants the token of temporary credentials, and only of those", () => {
		const withToken = vector("get-vanilla-with-session-token", "header");
		refused(() => verify(withToken.request, body, { sessionToken: "another" }), "UnrecognizedClientException", /token/);
		refused(() => verify(withToken.request, body, { sessionToken: undefined }), "UnrecognizedClientException", /token/);
		refused(() => verify(request, body, { sessionToken: "missing" }), "UnrecognizedClientException", /token/);
	});
	it("serves one region and says which", () => {
		refused(
			() => verify(request, body, { region: "eu-west-1" }),
			"InvalidSignatureException",
			/not 'us-east-1'.*'eu-west-1'/,
		);
	});
	it("wants a scope of this kind and of this day", () => {
		refused(() => verify(edit("aws4_request", "aws5_request"), body), "InvalidSignatureException", /terminator/);
		refused(
			() => verify(edit("/20150830/", "/20150831/"), body),
			"InvalidSignatureException",
			/Date in Credential scope/,
		);
	});
	it("wants the host signed, and every X-Amz- header", () => {
		refused(() => verify(edit("host;x-amz-date", "x-amz-date"), body), "InvalidSignatureException", /Host/);
		const added = withHeaders(request, { "X-Amz-Invocation-Type": "Event" });
		refused(() => verify(added, body), "InvalidSignatureException", /not signed: 'x-amz-invocation-type'/);
	});
	it("compares the declared payload hash with the body", () => {
		const post = vector("post-x-www-form-urlencoded", "header");
		refused(
			() => verify(post.request, Buffer.from("Param1=value2")),
			"InvalidSignatureException",
			/X-Amz-Content-Sha256/,
		);
	});
	it("names what an incomplete Authorization header lacks", () => {
		refused(() => verify(edit(/Signature=.*/, ""), body), "IncompleteSignatureException", /key=value/);
		refused(
			() => verify(edit(/, Signature=.*/, ""), body),
			"IncompleteSignatureException",
			"Authorization header requires 'Signature' parameter.",
		);
		refused(
			() => verify(edit(/Credential=[^,]*/, "Credential=a/b"), body),
			"IncompleteSignatureException",
			/5 slash-delimited/,
		);
		refused(() => verify(edit(/Signature=.*/, "Signature=abc"), body), "IncompleteSignatureException", /hexadecimal/);
		refused(
			() => verify(edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), body),
			"IncompleteSignatureException",
			/algorithm/,
		);
		refused(
			() => verify(withHeaders(request, { "x-amz-date": undefined }), body),
			"IncompleteSignatureException",
			/'X-Amz-Date' or a 'Date'/,
		);
		refused(
			() => verify(withHeaders(request, { "x-amz-date": "yesterday" }), body),
			"IncompleteSignatureException",
			/ISO-8601/,
		);
		const twice = { ...request, rawHeaders: [...request.rawHeaders, "Authorization", "AWS4-HMAC-SHA256 x=y"] };
		refused(() => verify(twice, body), "IncompleteSignatureException", /one signature only/);
	});
	it("bounds X-Amz-Expires", () => {
		const presigned = vector("get-vanilla", "query").request;
		for (const expires of ["0", "604801", "-1", "1e3", "x"])
			refused(
				() => verify({ ...presigned, query: presigned.query.replace("Expires=3600", `Expires=${expires}`) }, body),
				"IncompleteSignatureException",
				/X-Amz-Expires/,
			);
	});
	it("takes no signature at all for none", () => {
		assert.equal(readAuthorization(withHeaders(request, { authorization: undefined })), undefined);
		assert.equal(readAuthorization(withHeaders(request, { authorization: "Bearer abc" })), undefined);
	});
});

describe("SigV4: seeded nonsense", () => {
	it("is always answered with an AwsError or nothing", () => {
		const seed = 20_261_121;
		const random = mulberry32(seed);
		const { request, body } = vector("get-vanilla", "header");
		const original = request.rawHeaders[request.rawHeaders.indexOf("Authorization") + 1]!;
		const alphabet = "AWS4-HMAC-SHA256 ,=;/abc09\u0000\u00ff%&\n\t'\"";
		for (let round = 0; round < 20_000; round++) {
			let text = original;
			for (let edits = 1 + Math.floor(random() * 4); edits > 0; edits--) {
				const at = Math.floor(random() * text.length);
				const piece = alphabet[Math.floor(random() * alphabet.length)]!.repeat(random() < 0.01 ? 9000 : 1);
				text =
					random() < 0.5
						? text.slice(0, at) + piece + text.slice(at + 1)
						: text.slice(0, at) + text.slice(at + 1 + Math.floor(random() * 20));
			}
			if (text === original) continue;
			try {
				verify(withHeaders(request, { authorization: text }), body);
				// White space around the parts is not under the signature.
				assert.equal(text.replace(/[\s]/g, ""), original.replace(/\s/g, ""), `seed ${seed}, round ${round}`);
			} catch (error) {
				if (error instanceof NoSignature) continue;
				assert.ok(error instanceof AwsError, `seed ${seed}, round ${round}: ${JSON.stringify(text)} threw ${error}`);
			}
		}
	});
});

class NoSignature extends Error {}

interface Options extends Partial<VerifierOptions> {
	now?: number;
	sessionToken?: string | undefined;
}

function verify(request: SignedRequest, body: Buffer, options: Options = {}): void {
	const authorization = readAuthorization(request);
	if (!authorization) throw new NoSignature();
	const sessionToken = "sessionToken" in options ? options.sessionToken : authorization.securityToken;
	const verifier = new SigV4Verifier({
		credentials: (id) =>
			id === "AKIDEXAMPLE"
				? {
						secretAccessKey,
						...(sessionToken !== undefined && { sessionToken }),
						principal: {
							accessKeyId: id,
							arn: "arn:aws:iam::123456789012:root",
							userId: "123456789012",
							accountId: "123456789012",
						},
					}
				: undefined,
		region: options.region ?? "us-east-1",
	});
	const pending = verifier.begin(request, authorization, options.now ?? signedAt);
	verifier.finish(request, pending, body, true);
}

function refused(action: () => void, name: string, message: string | RegExp): void {
	assert.throws(action, (error: Error) => {
		assert.equal(error.name, name, error.message);
		if (typeof message === "string") assert.equal(error.message, message);
		else assert.match(error.message, message);
		return true;
	});
}

function vector(name: string, kind: string): { request: SignedRequest; body: Buffer } {
	return parse(vectors.find((one) => one.name === name && one.kind === kind)!.request);
}

/** As node:http would hand it over: bytes above 0x7f as Latin-1, continuation lines joined to their header. */
function parse(text: string): { request: SignedRequest; body: Buffer } {
	const end = text.indexOf("\n\n");
	const [first = "", ...lines] = text.slice(0, end === -1 ? undefined : end).split("\n");
	const [, method = "", url = ""] = /^(\S+) (.*) HTTP\/1\.1$/.exec(first) ?? [];
	const rawHeaders: string[] = [];
	for (const line of lines) {
		if (/^\s/.test(line)) rawHeaders[rawHeaders.length - 1] += `\n${line}`;
		else if (line !== "") rawHeaders.push(line.slice(0, line.indexOf(":")), latin1(line.slice(line.indexOf(":") + 1)));
	}
	const [path = "", query = ""] = latin1(url).split(/\?(.*)/s);
	const lengthAt = rawHeaders.findIndex((name) => name.toLowerCase() === "content-length");
	const body = Buffer.from(end === -1 ? "" : text.slice(end + 2));
	const length = lengthAt === -1 ? 0 : Number(rawHeaders[lengthAt + 1]);
	return { request: { method, path, query, rawHeaders }, body: body.subarray(0, length) };
}

function latin1(text: string): string {
	return Buffer.from(text).toString("latin1");
}

function mapHeaders(request: SignedRequest, map: (name: string, value: string) => string | undefined): SignedRequest {
	const rawHeaders: string[] = [];
	for (let i = 0; i < request.rawHeaders.length; i += 2) {
		const value = map(request.rawHeaders[i]!, request.rawHeaders[i + 1]!);
		if (value !== undefined) rawHeaders.push(request.rawHeaders[i]!, value);
	}
	return { ...request, rawHeaders };
}

function withHeaders(request: SignedRequest, headers: Record<string, string | undefined>): SignedRequest {
	const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
	const rest = mapHeaders(request, (name, value) => (names.has(name.toLowerCase()) ? undefined : value));
	const added = Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
	return { ...rest, rawHeaders: [...rest.rawHeaders, ...added] };
}

function mulberry32(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}
