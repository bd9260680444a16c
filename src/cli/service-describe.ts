import { verb as get } from "./service-get.ts";
import type { Verb } from "./verb.ts";

/** gcloud's word for it. */
export const verb: Verb = {
	...get,
	usage: "service describe NAME [-n NAMESPACE] [--json]",
	examples: [["slipway service describe hello", ""]],
};
