import { createHmac, randomBytes } from "node:crypto";
import type { Ids } from "../base/ids.ts";
import type { TemporaryCredentials } from "../contracts/lambda/environment.ts";
import type { Principal } from "../front/aws/service.ts";

/** What AWS's own temporary keys begin with (IAM User Guide, "IAM identifiers"). */
const prefix = "ASIA";
/** Hexadecimal digits of a key id that say whose it is, and that are random. */
const ownerDigits = 6;
const randomDigits = 10;
const keyId = new RegExp(`^${prefix}([0-9A-F]{${ownerDigits}})[0-9A-F]{${randomDigits}}$`);

/**
 * Keys for the code inside of functions. Nothing is kept of them: a key's secret is made of its id, and ids say whose they are. They
 * end with this process, as every sandbox does.
 */
export class SessionCredentials {
	readonly #key = randomBytes(32);
	readonly #ids: Pick<Ids, "hex">;
	readonly #accountId: string;
	/** Functions that ever had some, and each one's place. */
	readonly #owners: string[] = [];
	readonly #places = new Map<string, number>();

	constructor(options: { ids: Pick<Ids, "hex">; accountId: string }) {
		this.#ids = options.ids;
		this.#accountId = options.accountId;
	}

	issue(functionName: string): TemporaryCredentials {
		const owner = this.#place(functionName).toString(16).padStart(ownerDigits, "0");
		const accessKeyId = `${prefix}${owner}${this.#ids.hex(randomDigits / 2)}`.toUpperCase();
		return {
			accessKeyId,
			secretAccessKey: this.#derive("secret", accessKeyId),
			sessionToken: this.#derive("token", accessKeyId),
		};
	}

	/** For the AWS front: undefined for an id that is none of these. */
	find(accessKeyId: string): { secretAccessKey: string; sessionToken: string; principal: Principal } | undefined {
		const place = keyId.exec(accessKeyId)?.[1];
		const owner = place === undefined ? undefined : this.#owners[Number.parseInt(place, 16)];
		if (owner === undefined) return undefined;
		const arn = `arn:aws:sts::${this.#accountId}:assumed-role/slipway/${owner}`;
		const principal = { accessKeyId, arn, userId: `AROASLIPWAY:${owner}`, accountId: this.#accountId, isSession: true };
		return {
			secretAccessKey: this.#derive("secret", accessKeyId),
			sessionToken: this.#derive("token", accessKeyId),
			principal,
		};
	}

	#place(functionName: string): number {
		const known = this.#places.get(functionName);
		if (known !== undefined) return known;
		const place = this.#owners.push(functionName) - 1;
		this.#places.set(functionName, place);
		return place;
	}

	#derive(what: "secret" | "token", accessKeyId: string): string {
		return createHmac("sha256", this.#key).update(`${what}\n${accessKeyId}`).digest("base64").slice(0, 40);
	}
}
