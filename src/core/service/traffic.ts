/** What the gateway knows of one service or one of its tags, ready to choose a revision for a request. */
export interface ServiceRoute {
	namespace: string;
	service: string;
	/** Undefined: the service's own host. */
	tag: string | undefined;
	/** Percentages of each revision, adding up to 100; a tag has one of 100. Empty: nothing is ready yet. */
	targets: readonly { revision: string; percent: number }[];
	/** Who may call: everybody, or only other containers and the daemon's own fronts. */
	ingress: "all" | "internal";
	/** Of the newest revision. */
	sessionAffinity: boolean;
	/** Why there is no target, for the answer to a request. */
	reason: string | undefined;
}

/** Looked up for each request: no store, no promise. */
export interface ServiceRoutes {
	/** `service`, with `tag` of TAG---NAME. NAME alone is in the namespace "default". */
	find(namespace: string, service: string, tag: string | undefined): ServiceRoute | undefined;
}
