import { type Call, exitCodes, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "kubeconfig",
	summary: "Print a configuration for kubectl, kn and other clients of the Serving API",
	details:
		"The token is part of the server's URL: over plain HTTP these clients send credentials in no other way. It holds a\n" +
		"secret.",
	positionals: [0, 0],
	options: {},
	examples: [
		["slipway kubeconfig > ~/.kube/slipway", ""],
		["KUBECONFIG=~/.kube/slipway kubectl get ksvc", "afterwards"],
	],
	run: kubeconfig,
};

/** https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ in JSON, which its readers take for the YAML that it is. */
async function kubeconfig({ context }: Call): Promise<number> {
	const daemon = context.localDaemon();
	const credentials = daemon && context.credentials();
	if (!daemon?.url || !credentials) throw context.noDaemon();
	const server = new URL(daemon.url);
	server.username = "slipway";
	server.password = credentials.token;
	const name = "slipway";
	context.printJson({
		apiVersion: "v1",
		kind: "Config",
		clusters: [{ name, cluster: { server: server.href.replace(/\/$/, "") } }],
		users: [{ name, user: {} }],
		contexts: [{ name, context: { cluster: name, user: name, namespace: "default" } }],
		"current-context": name,
	});
	return exitCodes.ok;
}
