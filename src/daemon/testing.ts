/** A system without containers, for tests of the daemon's own life and of the command line over the real port. */
import { apiFront } from "../front/api/api.ts";
import { fakeApiDeps } from "../front/api/fake-engine.ts";
import type { System, Wire } from "./daemon.ts";

/** Serves the native API on the fakes; the other fronts answer with their name. */
export const fakeWire: Wire = async (input): Promise<System> => {
	const { config, secrets, startedMs, version, url, accountId, clock, log } = input;
	const deps = fakeApiDeps({ ...input, home: config.home });
	const named = (name: string) => (_request: unknown, response: { end(text: string): unknown }) =>
		void response.end(name);
	return {
		runtime: "fake 1.0",
		fronts: {
			aws: named("aws"),
			registry: named("registry"),
			cloudEvents: named("cloudEvents"),
			functionUrl: named("functionUrl"),
			api: apiFront({
				...deps,
				token: secrets.credentials.token,
				version,
				status: () => ({
					version,
					pid: process.pid,
					address: new URL(url).host,
					home: config.home,
					runtime: "fake 1.0",
					startedMs,
					uptimeMs: clock.now() - startedMs,
					region: config.region,
					accountId,
					functions: deps.functions.list({ limit: 1000 }).length,
					sandboxes: 1,
					memoryBytes: process.memoryUsage.rss(),
				}),
			}),
		},
		reaped: 0,
		resume: () => {},
		[Symbol.asyncDispose]: async () => log.info("Disposed"),
	};
};
