/** What tells clients what is served: discovery (metav1 APIGroupList, APIResourceList) and the version. */
import { openApiV2, openApiV3 } from "./openapi.ts";
import type { Call } from "./request.ts";
import { group, resources, version } from "./resources.ts";
import { respond } from "./respond.ts";
import type { DocumentName } from "./route.ts";
import { notAllowed } from "./status.ts";

/** Of the API conventions that are followed here (lists, watches and bookmarks as of this release), for clients that compare it with theirs. */
const kubernetesMajor = "1";
const kubernetesMinor = "32";

export async function sendDocument(call: Call, name: DocumentName): Promise<void> {
	if (call.request.method !== "GET") throw notAllowed("Only GET is possible here", ["GET"]);
	await respond(call, 200, documents[name](call));
}

const documents: Record<DocumentName, (call: Call) => object> = {
	"/api": () => ({ kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] }),
	"/api/v1": () => ({
		kind: "APIResourceList",
		groupVersion: "v1",
		resources: [
			{
				name: "namespaces",
				singularName: "namespace",
				namespaced: false,
				kind: "Namespace",
				verbs: ["get", "list"],
				shortNames: ["ns"],
			},
			{
				name: "services",
				singularName: "service",
				namespaced: true,
				kind: "Service",
				verbs: ["get", "list"],
				shortNames: ["svc"],
			},
		],
	}),
	"/apis": () => ({ kind: "APIGroupList", apiVersion: "v1", groups: [apiGroup] }),
	"/apis/GROUP": () => ({ kind: "APIGroup", apiVersion: "v1", ...apiGroup }),
	"/apis/GROUP/VERSION": () => ({
		kind: "APIResourceList",
		apiVersion: "v1",
		groupVersion: `${group}/${version}`,
		resources: resources.flatMap(({ plural, singular, kind, verbs, shortNames }) => [
			{
				name: plural,
				singularName: singular,
				namespaced: true,
				kind,
				verbs: [...verbs],
				shortNames: [...shortNames],
				categories: ["all", "knative", "serving"],
			},
			{ name: `${plural}/status`, singularName: "", namespaced: true, kind, verbs: ["get"] },
		]),
	}),
	"/version": ({ version: own }) => ({
		major: kubernetesMajor,
		minor: kubernetesMinor,
		gitVersion: `v${kubernetesMajor}.${kubernetesMinor}.0+slipway.${own}`,
		gitCommit: "",
		gitTreeState: "",
		buildDate: "",
		goVersion: "",
		compiler: "",
		platform: `${process.platform}/${process.arch}`,
	}),
	"/openapi/v2": ({ version: own }) => openApiV2(own),
	"/openapi/v3": () => ({
		paths: { [`apis/${group}/${version}`]: { serverRelativeURL: `/openapi/v3/apis/${group}/${version}` } },
	}),
	"/openapi/v3/GROUP/VERSION": ({ version: own }) => openApiV3(own),
};

const preferred = { groupVersion: `${group}/${version}`, version };
const apiGroup = { name: group, versions: [preferred], preferredVersion: preferred };
