import type * as sdk from "@aws-sdk/client-ecr";
import type { Clock } from "../../../base/clock.ts";
import { isSlipwayError, type SlipwayError } from "../../../base/error.ts";
import type { BlobStore } from "../../../core/image/blob-store.ts";
import { isRepositoryName } from "../../../core/image/reference.ts";
import type { Repository, RepositoryStore } from "../../../core/repository/repository-store.ts";
import { AwsError } from "../errors.ts";
import { type AwsService, type Call, type Handlers, handlersOf, type WireError } from "../service.ts";
import {
	batchDeleteImage,
	batchGetImage,
	describeImages,
	hasImages,
	type ImageContext,
	listImages,
} from "./ecr/images.ts";
import { putImage } from "./ecr/put-image.ts";
import { invalidParameter, notFound, pageOf, pageSize, readToken, writeToken } from "./ecr/wire.ts";

export interface EcrDeps {
	blobs: BlobStore;
	repositories: RepositoryStore;
	/** What `docker login -u AWS` is asked for; also the registry front's. */
	registryPassword: () => string;
	/** Whether this daemon answers by TLS. */
	isTls: boolean;
	/** `host:port` of the registry as the caller can reach it; the host that the request was made to by default. */
	registryHost?: (call: Call) => string;
	clock: Clock;
}

/** ECR, GetAuthorizationToken: "valid for 12 hours". Ours lasts until the password changes; clients ask again all the same. */
const tokenLifeMs = 12 * 60 * 60 * 1000;
/** ECR, CreateRepository, repositoryName. */
const namePattern = /^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
/** ECR, TagResource. */
const maxTags = 50;

type EcrHandlers = Handlers<typeof sdk>;

/** Amazon ECR, API 2015-09-21: what goes with the registry, as far as the CLI, docker's helpers and Terraform use it. */
export function ecrHandlers(deps: EcrDeps): EcrHandlers {
	const find = (input: { registryId?: string | undefined; repositoryName: string }, call: Call) =>
		findRepository(deps, input.repositoryName, input.registryId, call);
	const images = async (
		input: { registryId?: string | undefined; repositoryName: string },
		call: Call,
	): Promise<ImageContext> => {
		const { name } = await find(input, call);
		return { ...deps, repository: name, registryId: call.accountId };
	};
	return {
		GetAuthorizationToken: (input, call) => authorizationToken(deps, input.registryIds, call),
		DescribeRegistry: (_input, call) => ({ registryId: call.accountId, replicationConfiguration: { rules: [] } }),
		CreateRepository: (input, call) => createRepository(deps, input, call),
		DescribeRepositories: (input, call) => describeRepositories(deps, input, call),
		DeleteRepository: async (input, call) => {
			const repository = await find(input, call);
			if (!input.force && (await hasImages(deps.repositories, repository.name)))
				throw new AwsError(
					"RepositoryNotEmptyException",
					400,
					`The repository with name '${repository.name}' in registry with id '${call.accountId}' cannot be deleted because it still contains images`,
				);
			await deps.repositories.deleteRepository(repository.name);
			return { repository: wireRepository(deps, repository, call) };
		},
		PutImageTagMutability: async (input, call) => {
			const { name } = await find(input, call);
			const { tagMutability } = await deps.repositories.updateRepository(name, {
				tagMutability: readMutability(input.imageTagMutability),
			});
			return { registryId: call.accountId, repositoryName: name, imageTagMutability: tagMutability };
		},
		DescribeImages: async (input, call) => describeImages(await images(input, call), input),
		ListImages: async (input, call) => listImages(await images(input, call), input),
		BatchGetImage: async (input, call) => batchGetImage(await images(input, call), input.imageIds),
		PutImage: async (input, call) => putImage({ ...(await images(input, call)), clock: deps.clock }, input),
		BatchDeleteImage: async (input, call) => batchDeleteImage(await images(input, call), input.imageIds),
		...tagHandlers(deps),
		GetRepositoryPolicy: async (input, call) => {
			const { name } = await find(input, call);
			throw notFound(
				"RepositoryPolicy",
				`Repository policy does not exist for the repository with name '${name}'`,
				call,
			);
		},
		GetLifecyclePolicy: async (input, call) => {
			const { name } = await find(input, call);
			throw notFound("LifecyclePolicy", `Lifecycle policy does not exist for the repository with name '${name}'`, call);
		},
	};
}

export function ecrService(deps: EcrDeps): AwsService {
	const unavailable: WireError = { name: "ServerException", status: 500 };
	const invalid: WireError = { name: "InvalidParameterException", status: 400 };
	return {
		name: "ecr",
		protocol: "aws-json-1.1",
		sdkPackage: "@aws-sdk/client-ecr",
		targetPrefix: "AmazonEC2ContainerRegistry_V20150921",
		handlers: handlersOf<typeof sdk>(ecrHandlers(deps)),
		translate: (error: SlipwayError) =>
			error.reason === "ImageTagAlreadyExists" ? { name: "ImageTagAlreadyExistsException", status: 400 } : undefined,
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "RepositoryNotFoundException", status: 400 },
			ALREADY_EXISTS: { name: "RepositoryAlreadyExistsException", status: 400 },
			CONFLICT: invalid,
			PRECONDITION: invalid,
			UNAUTHENTICATED: { name: "UnrecognizedClientException", status: 400 },
			FORBIDDEN: { name: "AccessDeniedException", status: 400 },
			TOO_LARGE: invalid,
			THROTTLED: { name: "ThrottlingException", status: 400 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: invalid,
			DEADLINE: unavailable,
			EXHAUSTED: { name: "LimitExceededException", status: 400 },
			UNAVAILABLE: unavailable,
			SANDBOX_FAILED: unavailable,
		},
	};
}

function hostOf(deps: EcrDeps, call: Call): string {
	return deps.registryHost?.(call) ?? call.host;
}

function authorizationToken(
	deps: EcrDeps,
	registryIds: readonly string[] | undefined,
	call: Call,
): sdk.GetAuthorizationTokenResponse {
	const data = {
		authorizationToken: Buffer.from(`AWS:${deps.registryPassword()}`).toString("base64"),
		expiresAt: new Date(deps.clock.now() + tokenLifeMs),
		proxyEndpoint: `${deps.isTls ? "https" : "http"}://${hostOf(deps, call)}`,
	};
	// Other accounts' registries are not here, but one token opens all of ECR that its owner may see.
	return { authorizationData: (registryIds?.length ? [...new Set(registryIds)] : [call.accountId]).map(() => data) };
}

async function createRepository(
	deps: EcrDeps,
	input: sdk.CreateRepositoryRequest,
	call: Call,
): Promise<sdk.CreateRepositoryResponse> {
	const name = input.repositoryName ?? "";
	if (name.length < 2 || name.length > 256 || !namePattern.test(name) || !isRepositoryName(name))
		throw invalidParameter(
			"repositoryName",
			`must satisfy regular expression '${namePattern.source.slice(1, -1).replaceAll("\\/", "/")}' and have 2 to 255 characters`,
		);
	if (input.encryptionConfiguration && input.encryptionConfiguration.encryptionType !== "AES256")
		throw invalidParameter("encryptionConfiguration", "only AES256 is supported");
	const tags = mergeTags({}, input.tags ?? []);
	const tagMutability = readMutability(input.imageTagMutability ?? "MUTABLE");
	const repository: Repository = { name, createdMs: deps.clock.now(), tagMutability, tags };
	try {
		await deps.repositories.createRepository(repository);
	} catch (error) {
		if (!isSlipwayError(error, "ALREADY_EXISTS")) throw error;
		throw new AwsError(
			"RepositoryAlreadyExistsException",
			400,
			`The repository with name '${name}' already exists in the registry with id '${call.accountId}'`,
		);
	}
	return { repository: wireRepository(deps, repository, call) };
}

async function describeRepositories(
	deps: EcrDeps,
	input: sdk.DescribeRepositoriesRequest,
	call: Call,
): Promise<sdk.DescribeRepositoriesResponse> {
	const wire = (repository: Repository) => wireRepository(deps, repository, call);
	if (input.repositoryNames?.length) {
		if (input.nextToken !== undefined) throw invalidParameter("nextToken", "must not be given with repositoryNames");
		const names = [...new Set(input.repositoryNames)];
		const found = names.map((name) => findRepository(deps, name, input.registryId, call));
		return { repositories: (await Promise.all(found)).map(wire) };
	}
	if (input.registryId !== undefined && input.registryId !== call.accountId) return { repositories: [] };
	const limit = pageSize(input.maxResults);
	const after = input.nextToken === undefined ? undefined : readToken(input.nextToken).after;
	const rows = await deps.repositories.listRepositories({
		limit: limit + 1,
		...(after === undefined ? {} : { after }),
	});
	const { page, next } = pageOf(rows, limit);
	return { repositories: page.map(wire), ...(next ? { nextToken: writeToken({ after: next.name, skip: 0 }) } : {}) };
}

async function findRepository(
	deps: EcrDeps,
	name: string,
	registryId: string | undefined,
	call: Call,
): Promise<Repository> {
	const isOurs = registryId === undefined || registryId === call.accountId;
	const found = isOurs ? await deps.repositories.getRepository(name) : undefined;
	if (found) return found;
	throw new AwsError(
		"RepositoryNotFoundException",
		400,
		`The repository with name '${name}' does not exist in the registry with id '${registryId ?? call.accountId}'`,
	);
}

function wireRepository(deps: EcrDeps, repository: Repository, call: Call): sdk.Repository {
	return {
		repositoryArn: repositoryArn(repository.name, call),
		registryId: call.accountId,
		repositoryName: repository.name,
		repositoryUri: `${hostOf(deps, call)}/${repository.name}`,
		createdAt: new Date(repository.createdMs),
		imageTagMutability: repository.tagMutability,
		// Nothing is scanned or encrypted here; these are the answers to those who asked for neither.
		imageScanningConfiguration: { scanOnPush: false },
		encryptionConfiguration: { encryptionType: "AES256" },
	};
}

function repositoryArn(name: string, call: Call): string {
	return `arn:aws:ecr:${call.region}:${call.accountId}:repository/${name}`;
}

function readMutability(value: string | undefined): Repository["tagMutability"] {
	if (value === "MUTABLE" || value === "IMMUTABLE") return value;
	throw invalidParameter("imageTagMutability", "Member must satisfy enum value set: [IMMUTABLE, MUTABLE]");
}

function tagHandlers(deps: EcrDeps): Pick<EcrHandlers, "ListTagsForResource" | "TagResource" | "UntagResource"> {
	const find = (arn: string, call: Call) => {
		const [, account, name] = /^arn:aws[a-z-]*:ecr:[a-z0-9-]+:(\d{12}):repository\/(.+)$/.exec(arn) ?? [];
		if (account === undefined || name === undefined) throw invalidParameter("resourceArn", "Invalid ARN");
		return findRepository(deps, name, account, call);
	};
	return {
		ListTagsForResource: async (input, call) => {
			const { tags } = await find(input.resourceArn, call);
			return { tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
		},
		TagResource: async (input, call) => {
			const { name, tags } = await find(input.resourceArn, call);
			await deps.repositories.updateRepository(name, { tags: mergeTags(tags, input.tags) });
			return {};
		},
		UntagResource: async (input, call) => {
			const { name, tags } = await find(input.resourceArn, call);
			const gone = new Set(input.tagKeys);
			const left = Object.entries(tags).filter(([key]) => !gone.has(key));
			await deps.repositories.updateRepository(name, { tags: Object.fromEntries(left) });
			return {};
		},
	};
}

function mergeTags(tags: Readonly<Record<string, string>>, added: readonly sdk.Tag[]): Record<string, string> {
	const merged = new Map(Object.entries(tags));
	for (const { Key = "", Value = "" } of added) {
		if (Key === "" || Key.length > 128 || Value.length > 256 || /^aws:/i.test(Key))
			throw new AwsError(
				"InvalidTagParameterException",
				400,
				`Invalid parameter at 'tags' failed to satisfy constraint: 'a key has 1 to 128 characters and does not begin with aws:, a value has at most 256'`,
			);
		merged.set(Key, Value);
	}
	if (merged.size > maxTags)
		throw new AwsError("TooManyTagsException", 400, `The number of tags exceeds the limit of ${maxTags}`);
	return Object.fromEntries(merged);
}
