import { join } from "node:path";
import { readPair, writePair, writePrivate } from "./files.ts";
import { type KeyPair, makeAuthority, makeLeaf, validityOf } from "./x509.ts";

/** The installation's own authority, made when it is first needed; its key stays on this machine, readable by the daemon alone. */
export class DevelopmentAuthority {
	readonly #folder: string;
	readonly #now: () => number;
	readonly #name: string;
	#authority: Promise<KeyPair> | undefined;

	/** `machine`: its name, to tell authorities apart in a browser's list. */
	constructor(folder: string, machine: string, now: () => number) {
		this.#folder = folder;
		this.#name = `Slipway development authority (${machine.slice(0, 24)})`;
		this.#now = now;
	}

	/** To be trusted by whoever is to trust its hosts. PEM, without the key. */
	get certificatePath(): string {
		return join(this.#folder, "authority.crt");
	}

	async certificate(): Promise<string> {
		return (await this.#open()).cert;
	}

	async leaf(host: string): Promise<KeyPair> {
		return makeLeaf(await this.#open(), host, this.#now());
	}

	/** What to do so that a machine's programs trust it. */
	async instructions(): Promise<string> {
		await this.#open();
		const path = this.certificatePath;
		return [
			"To have this machine trust the installation's development certificates:",
			`  Debian, Ubuntu   sudo cp ${path} /usr/local/share/ca-certificates/slipway.crt && sudo update-ca-certificates`,
			`  Fedora, RHEL     sudo cp ${path} /etc/pki/ca-trust/source/anchors/slipway.crt && sudo update-ca-trust`,
			`  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${path}`,
			`  Chrome on Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n slipway -i ${path} (libnss3-tools)`,
			`  Firefox          Settings, Certificates, Import: ${path}`,
			`  curl             curl --cacert ${path} https://…`,
			`  Node.js          NODE_EXTRA_CA_CERTS=${path}`,
			"Its key never leaves this machine; remove the certificate from these lists to take the trust back.",
		].join("\n");
	}

	#open(): Promise<KeyPair> {
		this.#authority ??= this.#load().catch((error: unknown) => {
			this.#authority = undefined;
			throw error;
		});
		return this.#authority;
	}

	async #load(): Promise<KeyPair> {
		const path = join(this.#folder, "authority.pem");
		const kept = await readPair(path);
		const pair =
			kept && validityOf(kept.cert).notAfterMs > this.#now() ? kept : await makeAuthority(this.#name, this.#now());
		if (pair !== kept) await writePair(path, pair);
		await writePrivate(this.certificatePath, pair.cert);
		return pair;
	}
}
