import { SlipwayError } from "../../base/error.ts";
import { type Digest, parseDigest } from "./digest.ts";

/** `registry/repository[:tag][@digest]`, the form that docker and Lambda's ImageUri take (distribution, reference grammar). */
export interface Reference {
	/** Host, with a port if one was given. */
	registry: string;
	/** Lower-case path components. */
	repository: string;
	tag: string | undefined;
	digest: Digest | undefined;
}

/** distribution-spec 1.1, "Pulling manifests": <name>. */
const repositoryPattern = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const registryPattern = /^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$/;

export function isRepositoryName(name: string): boolean {
	return name.length <= 255 && repositoryPattern.test(name);
}

export function isTag(tag: string): boolean {
	return tagPattern.test(tag);
}

/** `defaultRegistry` serves references that name no registry (a first component without a dot, a colon, and not "localhost"). */
export function parseReference(text: string, defaultRegistry?: string): Reference {
	const refuse = (why: string, hint?: string) =>
		new SlipwayError("INVALID", `Image reference '${text.slice(0, 300)}' is not valid: ${why}`, hint ? { hint } : {});
	const [beforeDigest = "", digestText, ...more] = text.split("@");
	if (more.length > 0) throw refuse("it has more than one '@'");
	const slash = beforeDigest.indexOf("/");
	const first = slash < 0 ? "" : beforeDigest.slice(0, slash);
	const hasRegistry = /[.:]/.test(first) || first === "localhost";
	if (!hasRegistry && defaultRegistry === undefined)
		throw refuse("it names no registry", "Put the registry in front: 127.0.0.1:4747/NAME:TAG (`slipway image ls`)");
	const registry = hasRegistry ? first : (defaultRegistry ?? "");
	const path = hasRegistry ? beforeDigest.slice(slash + 1) : beforeDigest;
	const colon = path.lastIndexOf(":");
	const repository = colon < 0 ? path : path.slice(0, colon);
	const tag = colon < 0 ? undefined : path.slice(colon + 1);
	if (!registryPattern.test(registry)) throw refuse(`'${registry}' is not a registry host`);
	if (!isRepositoryName(repository))
		throw refuse(`'${repository}' is not a repository name (lower-case letters, digits, . _ - and /)`);
	if (tag !== undefined && !isTag(tag)) throw refuse(`'${tag}' is not a tag`);
	return { registry, repository, tag, digest: digestText === undefined ? undefined : parseDigest(digestText) };
}

export function formatReference(reference: Reference): string {
	const { registry, repository, tag, digest } = reference;
	return `${registry}/${repository}${tag ? `:${tag}` : ""}${digest ? `@${digest}` : ""}`;
}
