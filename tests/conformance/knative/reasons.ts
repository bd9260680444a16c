/** Why a test of what the specification leaves open does not pass: things of Kubernetes that Slipway does not have. */
const noConfigMaps = "There are no ConfigMaps and Secrets of Kubernetes: a manifest names none";
const ownedOnly = "Routes and configurations are made by services only, as on Cloud Run";
const reasons: Record<string, string> = {
	TestConfigMapVolume: noConfigMaps,
	TestProjectedConfigMapVolume: noConfigMaps,
	TestSecretVolume: noConfigMaps,
	TestProjectedSecretVolume: noConfigMaps,
	TestProjectedComplex: noConfigMaps,
	TestProjectedServiceAccountToken: "There are no service accounts of Kubernetes",
	TestSecretsViaEnv: noConfigMaps,
	TestConfigsViaEnv: noConfigMaps,
	TestRouteCreation: ownedOnly,
	TestUpdateConfigurationMetadata: ownedOnly,
	TestRouteAndConfigGenerateName: ownedOnly,
	TestLivenessWithFail: "It looks for the container's restart in a list of Pods, which there is none of",
};

/** Of an optional test, or of a subtest of it; undefined: none is known, so that its own words are shown. */
export function reasonFor(name: string, required: boolean): string | undefined {
	return required ? undefined : reasons[name.split("/")[0] ?? ""];
}
