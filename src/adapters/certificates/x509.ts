/** The installation's own certificates: an authority, and what it signs (RFC 5280). ECDSA P-256 with SHA-256. */
import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";

export interface KeyPair {
	/** PEM. */
	cert: string;
	key: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
/** Ten years: who trusts it once need not again, and it is of no use on another machine. */
const authorityDays = 3650;
/** Apple's programs refuse more than 825 days, public authorities' rule is 398 (https://support.apple.com/en-us/103769). */
const leafDays = 90;
/** Clocks of containers and phones differ. */
const backdateMs = 3_600_000;

type Library = typeof import("@peculiar/x509");
let loaded: Promise<Library> | undefined;

/** 25 MB and 100 ms that only an installation with a development authority spends. */
function library(): Promise<Library> {
	loaded ??= import("@peculiar/x509");
	return loaded;
}

/** `name`: what stands in browsers' lists of authorities. */
export async function makeAuthority(name: string, nowMs: number): Promise<KeyPair> {
	const x509 = await library();
	const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
	const certificate = await x509.X509CertificateGenerator.createSelfSigned({
		serialNumber: serial(),
		name: [{ CN: [name], O: ["Slipway development"] }],
		notBefore: new Date(nowMs - backdateMs),
		notAfter: new Date(nowMs + authorityDays * dayMs),
		signingAlgorithm: algorithm,
		keys,
		extensions: [
			new x509.BasicConstraintsExtension(true, 0, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
			await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	return { cert: certificate.toString("pem"), key: await privatePem(keys.privateKey) };
}

/** For one host name, or a wildcard. `cert` has the leaf alone: clients have the authority. */
export async function makeLeaf(authority: KeyPair, host: string, nowMs: number): Promise<KeyPair> {
	const x509 = await library();
	const issuer = new x509.X509Certificate(authority.cert);
	const pkcs8 = createPrivateKey(authority.key).export({ type: "pkcs8", format: "der" });
	const signingKey = await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
	const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
	const notAfterMs = Math.min(nowMs + leafDays * dayMs, issuer.notAfter.getTime());
	const certificate = await x509.X509CertificateGenerator.create({
		serialNumber: serial(),
		// A common name has 64 characters at the most, and nobody looks at it (RFC 5280, appendix A.1; RFC 9525).
		subject: [{ CN: [host.slice(0, 64)] }],
		issuer: issuer.subject,
		notBefore: new Date(nowMs - backdateMs),
		notAfter: new Date(notAfterMs),
		signingKey,
		publicKey: keys.publicKey,
		signingAlgorithm: algorithm,
		extensions: [
			new x509.BasicConstraintsExtension(false, undefined, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
			new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
			new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }]),
			await x509.AuthorityKeyIdentifierExtension.create(issuer),
			await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	return { cert: certificate.toString("pem"), key: await privatePem(keys.privateKey) };
}

/** Positive, 16 bytes of chance (RFC 5280, 4.1.2.2). */
function serial(): string {
	const bytes = randomBytes(16);
	bytes[0] = (bytes[0]! & 0x7f) | 0x40;
	return bytes.toString("hex");
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
	const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
	return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
		.export({ type: "pkcs8", format: "pem" })
		.toString();
}

export interface Validity {
	notBeforeMs: number;
	notAfterMs: number;
}

/** Of the first certificate of a chain. */
export function validityOf(pem: string): Validity {
	const { validFromDate, validToDate } = new X509Certificate(pem);
	return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}
