import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { before, describe, test } from "node:test";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";
import type { JwtSettings } from "../../core/gateway-route/gateway-route.ts";
import { JwtVerifier, WrongTokenError } from "./jwt.ts";
import { stillClock } from "./testing.ts";

const issuer = "https://issuer.example/";
const nowS = 1_795_240_800;

interface Pair {
	publicKey: CryptoKey;
	privateKey: CryptoKey;
	jwk: JWK;
}

async function pair(alg: string, kid: string): Promise<Pair> {
	const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
	return { publicKey, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, use: "sig" } };
}

const encode = (value: unknown) =>
	Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

describe("Tokens", () => {
	let rsa: Pair;
	let ec: Pair;
	let stranger: Pair;
	let settings: JwtSettings;
	const clock = stillClock();
	const noFetch = async (): Promise<unknown> => {
		throw new Error("nothing is fetched here");
	};

	before(async () => {
		[rsa, ec, stranger] = await Promise.all([pair("RS256", "r1"), pair("ES256", "e1"), pair("RS256", "r1")]);
		const keys = [rsa.jwk, ec.jwk].map((key) => ({ ...key }));
		settings = { issuer, audience: ["me", "other"], jwks: { keys }, clockSkewS: 10 };
	});

	const claims = { iss: issuer, aud: "me", sub: "anna", exp: nowS + 60, iat: nowS - 5 };

	function sign(change: object = {}, header: object = {}, key: CryptoKey = rsa.privateKey): Promise<string> {
		return new SignJWT({ ...claims, ...change }).setProtectedHeader({ alg: "RS256", kid: "r1", ...header }).sign(key);
	}

	async function verdict(token: string | string[], change: Partial<JwtSettings> = {}): Promise<number> {
		const verifier = new JwtVerifier({ ...settings, ...change }, { clock, fetchJson: noFetch });
		const raw = [token].flat().flatMap((one) => ["Authorization", one]);
		try {
			await verifier.verify(raw, "");
			return 200;
		} catch (error) {
			assert(error instanceof WrongTokenError, String(error));
			assert.match(error.challenge ?? "", /^Bearer/);
			return error.status;
		}
	}

	test("Those of the issuer are taken, with or without Bearer, of any of its keys", async () => {
		assert.equal(await verdict(`Bearer ${await sign()}`), 200);
		assert.equal(await verdict(await sign()), 200);
		assert.equal(await verdict(`bearer ${await sign({}, { alg: "ES256", kid: "e1" }, ec.privateKey)}`), 200);
		assert.equal(await verdict(await sign({ aud: ["x", "other"] })), 200);
		assert.equal(await verdict(await sign({ aud: undefined, client_id: "me" })), 200);
		assert.equal(await verdict(await sign({}, { kid: undefined })), 200);
		assert.equal(await verdict(await sign({ exp: nowS - 9, iat: nowS + 9, nbf: nowS + 9 })), 200);
		assert.equal(await verdict(await sign({ scope: "a read b" }), { scopes: ["read", "write"] }), 200);
		assert.equal(await verdict(await sign({ scp: ["write"] }), { scopes: ["read", "write"] }), 200);
	});

	test("Attacks and mistakes are 401", async () => {
		const good = await sign();
		const [head = "", payload = "", signature = ""] = good.split(".");
		const pem = await exportSPKI(rsa.publicKey);
		const hmac = (header: object, secret: string) => {
			const input = `${encode(header)}.${encode(claims)}`;
			return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
		};
		const attacks: Record<string, string | string[]> = {
			"no signature, alg none": `${encode({ alg: "none" })}.${payload}.`,
			"alg None in other letters": `${encode({ alg: "nOnE", kid: "r1" })}.${payload}.`,
			"alg none with a signature": `${encode({ alg: "none" })}.${payload}.${signature}`,
			"signature removed": `${head}.${payload}.`,
			"signature of another token": `${head}.${encode({ ...claims, sub: "root" })}.${signature}`,
			"HS256 with the public key as PEM": hmac({ alg: "HS256", kid: "r1" }, pem),
			"HS256 with the public key as JWK": hmac({ alg: "HS256", kid: "r1" }, JSON.stringify(rsa.jwk)),
			"HS256 with an empty secret": hmac({ alg: "HS256" }, ""),
			"another's key of the same id": await sign({}, {}, stranger.privateKey),
			"its own key in the header": await sign({}, { jwk: stranger.jwk, kid: undefined }, stranger.privateKey),
			"a key to be fetched": await sign({}, { jku: "https://evil.example/keys", kid: undefined }, stranger.privateKey),
			"a certificate to be fetched": await sign({}, { x5u: "https://evil.example/c" }, stranger.privateKey),
			"a key id that is a path": await sign({}, { kid: "../../../../dev/null" }, stranger.privateKey),
			"a key id that is SQL": await sign({}, { kid: "x' UNION SELECT 'key" }, stranger.privateKey),
			"a key id of a prototype": await sign({}, { kid: "__proto__" }),
			"a key id that is no text": `${encode({ alg: "RS256", kid: { $ne: "" } })}.${payload}.${signature}`,
			"a long key id": `${encode({ alg: "RS256", kid: "k".repeat(2000) })}.${payload}.${signature}`,
			"a key of another kind": `${encode({ alg: "ES256", kid: "r1" })}.${payload}.${signature}`,
			"a critical header that nobody knows": `${encode({ alg: "RS256", kid: "r1", crit: ["exp"], exp: 1 })}.${payload}.${signature}`,
			expired: await sign({ exp: nowS - 11 }),
			"without an end": await sign({ exp: undefined }),
			"an end that is text": await sign({ exp: "never" }),
			"not yet": await sign({ nbf: nowS + 11 }),
			"made in the future": await sign({ iat: nowS + 11 }),
			"for somebody else": await sign({ aud: "you" }),
			"for nobody": await sign({ aud: undefined }),
			"an audience that hides in a client id": await sign({ aud: "you", client_id: "me" }),
			"of another issuer": await sign({ iss: "https://evil.example/" }),
			"of the issuer, nearly": await sign({ iss: issuer.slice(0, -1) }),
			"of several issuers": await sign({ iss: [issuer] }),
			huge: `${head}.${"A".repeat(1_000_000)}.${signature}`,
			"many dots": ".".repeat(10_000),
			"a part too many": `${good}.x`,
			encrypted: `${encode({ alg: "dir", enc: "A256GCM" })}..a.b.c`,
			"no token": "Bearer ",
			empty: "",
			basic: "Basic dXNlcjpwYXNz",
			"two tokens": [good, good],
			garbage: "\u00ff\u00fe.x.y",
			"no JSON": `${encode("[]")}.${payload}.${signature}`,
		};
		for (const [name, token] of Object.entries(attacks)) assert.equal(await verdict(token), 401, name);
	});

	test("Without one of the scopes it is 403, which says what is missing", async () => {
		for (const scope of [undefined, "", "reader", "READ"])
			assert.equal(await verdict(await sign({ scope }), { scopes: ["read"] }), 403);
		const verifier = new JwtVerifier({ ...settings, scopes: ["read"] }, { clock, fetchJson: noFetch });
		await assert.rejects(verifier.verify(["authorization", await sign()], ""), {
			challenge: 'Bearer error="insufficient_scope", scope="read"',
		});
	});

	test("The token may be a parameter", async () => {
		const source = { identitySource: "$request.querystring.token" };
		const verifier = new JwtVerifier({ ...settings, ...source }, { clock, fetchJson: noFetch });
		const token = await sign();
		assert.equal((await verifier.verify([], `a=1&token=${token}`)).claims.sub, "anna");
		await assert.rejects(verifier.verify(["authorization", token], ""), { status: 401 });
		await assert.rejects(verifier.verify([], `token=${token}&token=${token}`), { status: 401 });
	});

	test("Keys are found by the issuer's configuration, kept, and fetched anew for a new key, within bounds", async () => {
		const moving = stillClock();
		const fetched: string[] = [];
		let keys = [rsa.jwk];
		let broken = false;
		const fetchJson = async (url: string) => {
			fetched.push(url);
			if (broken) throw new Error("the issuer is gone");
			return url.endsWith("openid-configuration")
				? { issuer, jwks_uri: "https://issuer.example/keys" }
				: { keys: [{ kty: "oct", k: "x", kid: "s" }, ...keys] };
		};
		const { jwks: _, ...remote } = settings;
		const verifier = new JwtVerifier(remote, { clock: moving, fetchJson });
		const verify = async (token: string) =>
			verifier.verify(["authorization", token], "").then(
				() => 200,
				(error: WrongTokenError) => error.status,
			);
		const [old, next] = [
			await sign({ exp: nowS + 1e6 }),
			await sign({ exp: nowS + 1e6 }, { alg: "ES256", kid: "e1" }, ec.privateKey),
		];
		assert.deepEqual(await Promise.all([verify(old), verify(old), verify(old)]), [200, 200, 200]);
		assert.deepEqual(fetched, [
			"https://issuer.example/.well-known/openid-configuration",
			"https://issuer.example/keys",
		]);
		// Tokens of keys that there are not can't have it fetch more often than every 30 s.
		for (let tries = 0; tries < 50; tries++) assert.equal(await verify(next), 401);
		assert.equal(fetched.length, 2);
		keys = [rsa.jwk, ec.jwk];
		moving.move(31_000);
		assert.equal(await verify(next), 200);
		assert.equal(fetched.length, 3);
		// The issuer is away: what is known goes on, for a day.
		broken = true;
		moving.move(3_600_000);
		assert.equal(await verify(old), 200);
		moving.move(24 * 3_600_000);
		assert.equal(await verify(old), 503);
		// Nor does each request of an issuer that stays away.
		const away = fetched.length;
		assert.equal(await verify(old), 503);
		assert.equal(fetched.length, away);
		// What can't be right costs the issuer nothing.
		const before = fetched.length;
		moving.move(60_000);
		assert.equal(await verify(`${encode({ alg: "none" })}.${encode(claims)}.`), 401);
		assert.equal(fetched.length, before);
	});

	test("An issuer that can't be reached is asked again after a while, not for each request", async () => {
		const moving = stillClock();
		let fetches = 0;
		const fetchJson = async () => {
			fetches++;
			throw new Error("refused");
		};
		const { jwks: _, ...remote } = settings;
		const verifier = new JwtVerifier(
			{ ...remote, jwksUri: "https://issuer.example/keys" },
			{ clock: moving, fetchJson },
		);
		const token = await sign();
		for (let tries = 0; tries < 10; tries++)
			await assert.rejects(verifier.verify(["authorization", token], ""), { status: 503 });
		assert.equal(fetches, 1);
		moving.move(6000);
		await assert.rejects(verifier.verify(["authorization", token], ""), { status: 503 });
		assert.equal(fetches, 2);
	});
});
