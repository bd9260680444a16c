import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { isSlipwayError } from "../base/error.ts";
import { IdentityTokens } from "./identity-tokens.ts";

async function keyFile(t: TestContext): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-identity-"));
	t.after(() => rm(folder, { recursive: true }));
	return join(folder, "identity-key.json");
}

const claims = { iss: "http://localhost:4747", aud: "http://other.internal", sub: "a@b.c", exp: 2_000_000_000 };

describe("identity tokens", () => {
	it("verify against the keys that are published, and with no others", async (t) => {
		const tokens = new IdentityTokens(await keyFile(t));
		const token = await tokens.sign(claims);
		const verified = await jwtVerify(token, createLocalJWKSet(await tokens.keys()), {
			issuer: claims.iss,
			audience: claims.aud,
		});
		assert.equal(verified.payload.sub, "a@b.c");
		assert.equal(verified.protectedHeader.alg, "ES256");
		const stranger = new IdentityTokens(await keyFile(t));
		await assert.rejects(jwtVerify(token, createLocalJWKSet(await stranger.keys())));
	});

	it("make the key on first use, for the daemon alone, and once", async (t) => {
		const file = await keyFile(t);
		const tokens = new IdentityTokens(file);
		await assert.rejects(stat(file), { code: "ENOENT" });
		const [one, other] = await Promise.all([tokens.sign(claims), tokens.sign(claims)]);
		assert.equal((await stat(file)).mode & 0o777, 0o600);
		assert.equal(decodeProtectedHeader(one).kid, decodeProtectedHeader(other).kid);
	});

	it("outlive the daemon, and take back a key that others could read", async (t) => {
		const file = await keyFile(t);
		const token = await new IdentityTokens(file).sign(claims);
		await chmod(file, 0o644);
		const again = new IdentityTokens(file);
		await jwtVerify(token, createLocalJWKSet(await again.keys()), { audience: claims.aud });
		assert.equal((await stat(file)).mode & 0o777, 0o600);
	});

	it("publish nothing secret, under the paths of OpenID Connect", async (t) => {
		const tokens = new IdentityTokens(await keyFile(t));
		const { keys } = await tokens.keys();
		assert.deepEqual(Object.keys(keys[0] ?? {}).sort(), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
		assert.deepEqual(await tokens.answer("/.well-known/jwks.json", claims.iss), { keys });
		const discovery = await tokens.answer("/.well-known/openid-configuration", claims.iss);
		assert.partialDeepStrictEqual(discovery, {
			issuer: claims.iss,
			jwks_uri: "http://localhost:4747/.well-known/jwks.json",
		});
		assert.equal(await tokens.answer("/.well-known/other", claims.iss), undefined);
	});

	it("refuse a damaged key and leave it as it is", async (t) => {
		const file = await keyFile(t);
		for (const text of ["{", "{}", '{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}']) {
			await writeFile(file, text);
			const tokens = new IdentityTokens(file);
			await assert.rejects(tokens.sign(claims), (error) => isSlipwayError(error, "INVALID") && !!error.hint);
			assert.equal(await readFile(file, "utf8"), text);
		}
	});
});
