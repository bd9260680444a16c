import type { Ids } from "../../base/ids.ts";

/** Longest prefix that leaves room for the suffix in a DNS label (apiserver/pkg/storage/names). */
const maxPrefix = 58;

/** metadata.generateName, as Kubernetes has it: the prefix and five characters. What is no manifest is left for the validation. */
export function withGeneratedName(manifest: unknown, ids: Pick<Ids, "hex">): unknown {
	if (typeof manifest !== "object" || manifest === null || !("metadata" in manifest)) return manifest;
	const { metadata } = manifest;
	if (typeof metadata !== "object" || metadata === null || !("generateName" in metadata)) return manifest;
	const { generateName } = metadata;
	const hasName = "name" in metadata && typeof metadata.name === "string" && metadata.name !== "";
	if (hasName || typeof generateName !== "string" || generateName === "") return manifest;
	const name = `${generateName.slice(0, maxPrefix)}${ids.hex(3).slice(0, 5)}`;
	return { ...manifest, metadata: { ...metadata, name } };
}
