/** The command's surroundings. The only file of the command line that reads the environment. */
import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { SlipwayError, systemCode } from "../base/error.ts";
import { SlipwayClient } from "../client/client.ts";
import { defaultHome, type LockRecord, readCredentials, readRunningDaemon } from "../client/local.ts";
import { nodeFetch } from "../client/node-fetch.ts";

export class Context {
	readonly env: Readonly<Record<string, string | undefined>>;
	/** Absolute path of the folder that a local daemon owns. */
	readonly home: string;
	readonly out: NodeJS.WriteStream;
	readonly err: NodeJS.WriteStream;

	constructor(home: string | undefined) {
		this.env = process.env;
		this.home = resolve(
			home ?? (this.env.SLIPWAY_HOME || defaultHome({ root: process.getuid?.() === 0, userHome: homedir() })),
		);
		this.out = process.stdout;
		this.err = process.stderr;
	}

	/** https://no-color.org: any value that is not empty turns colours off. */
	get color(): boolean {
		return this.out.isTTY === true && !this.env.NO_COLOR && this.env.TERM !== "dumb";
	}

	print(line: string): void {
		this.out.write(`${line}\n`);
	}

	printJson(value: unknown): void {
		this.print(JSON.stringify(value, null, 2));
	}

	/** The daemon that owns the home folder. FORBIDDEN when the folder is another user's. */
	localDaemon(): LockRecord | undefined {
		try {
			accessSync(this.home, constants.X_OK);
		} catch (error) {
			if (systemCode(error) === "EACCES") throw this.#foreign();
			return undefined;
		}
		return readRunningDaemon(this.home);
	}

	credentials() {
		try {
			return readCredentials(this.home);
		} catch (error) {
			throw systemCode(error) === "EACCES" ? this.#foreign() : error;
		}
	}

	/** By SLIPWAY_URL and SLIPWAY_TOKEN, else by what the home folder says. */
	client(): SlipwayClient {
		const { SLIPWAY_URL: url, SLIPWAY_TOKEN: token } = this.env;
		if (url && token) return new SlipwayClient({ url: checkUrl(url), token, fetch: nodeFetch });
		if (url || token)
			throw new SlipwayError(
				"INVALID",
				`${url ? "SLIPWAY_URL" : "SLIPWAY_TOKEN"} is set alone: both or none are needed`,
				{
					hint: '`eval "$(slipway env)"` sets both',
				},
			);
		const daemon = this.localDaemon();
		const credentials = daemon && this.credentials();
		if (!daemon || !credentials) throw this.noDaemon();
		if (daemon.url === "")
			throw new SlipwayError("UNAVAILABLE", `The daemon (process ${daemon.pid}) is still starting`, {
				reason: "NoDaemon",
			});
		return new SlipwayClient({ url: daemon.url, token: credentials.token, fetch: nodeFetch });
	}

	noDaemon(): SlipwayError {
		return new SlipwayError("UNAVAILABLE", `No daemon runs on '${this.home}'`, {
			reason: "NoDaemon",
			hint: "Start one with `slipway up --detach`, or name another with --home, or with SLIPWAY_URL and SLIPWAY_TOKEN",
		});
	}

	#foreign(): SlipwayError {
		return new SlipwayError("FORBIDDEN", `'${this.home}' belongs to another user`, {
			hint: 'Use sudo, or take its settings with `eval "$(sudo slipway env)"`',
		});
	}
}

function checkUrl(url: string): string {
	if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
	throw new SlipwayError("INVALID", `SLIPWAY_URL is '${url}': it must be an http or https URL`);
}
