import assert from "node:assert/strict";
import { test } from "node:test";
import { ECR } from "@aws-sdk/client-ecr";
import { systemClock } from "../../../base/clock.ts";
import type { Digest } from "../../../core/image/digest.ts";
import { mediaTypes } from "../../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../../core/repository/fake-repository-store.ts";
import { fakeBlobs, type MadeImage, makeImage, makeIndex, push } from "../../../engine/images/testing.ts";
import { startTestFront, testAccount, testKeys, testRegion } from "../test-front.ts";
import { ecrService } from "./ecr.ts";

async function setUp(options: { registryHost?: () => string } = {}) {
	const stores = { blobs: fakeBlobs(), repositories: new FakeRepositoryStore() };
	const service = ecrService({
		...stores,
		registryPassword: () => "pass",
		isTls: false,
		clock: systemClock,
		...options,
	});
	const front = await startTestFront({ services: [service] });
	const ecr = new ECR({ endpoint: front.url, region: testRegion, credentials: testKeys, maxAttempts: 1 });
	return {
		...stores,
		stores,
		ecr,
		host: new URL(front.url).host,
		async [Symbol.asyncDispose]() {
			ecr.destroy();
			await front[Symbol.asyncDispose]();
		},
	};
}

function named(name: string, message?: RegExp) {
	return (error: Error & { $metadata: { httpStatusCode?: number } }) => {
		assert.equal(error.name, name, error.message);
		assert.equal(error.$metadata.httpStatusCode, 400);
		if (message) assert.match(error.message, message);
		return true;
	};
}

const sorted = (ids: { imageTag?: string | undefined; imageDigest?: string | undefined }[] = []) =>
	ids.map(({ imageTag, imageDigest }) => `${imageTag ?? "-"} ${imageDigest?.slice(7, 15)}`).sort();
const short = (image: MadeImage | { digest: Digest }) =>
	("document" in image ? image.document.digest : image.digest).slice(7, 15);

test("the token is docker's user and password, and tells where to log in", async () => {
	await using t = await setUp();
	const { authorizationData } = await t.ecr.getAuthorizationToken({});
	const [data] = authorizationData ?? [];
	assert.equal(Buffer.from(data?.authorizationToken ?? "", "base64").toString(), "AWS:pass");
	assert.equal(data?.proxyEndpoint, `http://${t.host}`);
	const hours = ((data?.expiresAt?.getTime() ?? 0) - Date.now()) / 3_600_000;
	assert.ok(hours > 11.9 && hours <= 12);
	assert.equal((await t.ecr.describeRegistry({})).registryId, testAccount);
});

test("repositories: create, describe, page, tag, delete", async () => {
	await using t = await setUp({ registryHost: () => "registry.lan:5000" });
	const { repository } = await t.ecr.createRepository({
		repositoryName: "team/app",
		imageTagMutability: "IMMUTABLE",
		tags: [{ Key: "owner", Value: "me" }],
	});
	assert.equal(repository?.repositoryUri, "registry.lan:5000/team/app");
	const arn = `arn:aws:ecr:${testRegion}:${testAccount}:repository/team/app`;
	assert.equal(repository?.repositoryArn, arn);
	assert.equal(repository?.registryId, testAccount);
	assert.ok(repository?.createdAt instanceof Date);
	await assert.rejects(
		t.ecr.createRepository({ repositoryName: "team/app" }),
		named(
			"RepositoryAlreadyExistsException",
			/^The repository with name 'team\/app' already exists in the registry with id '123456789012'$/,
		),
	);
	for (const repositoryName of ["Upper", "a", "a//b", "-a", "a__b", "a".repeat(256)])
		await assert.rejects(
			t.ecr.createRepository({ repositoryName }),
			named("InvalidParameterException", /'repositoryName'/),
		);
	await assert.rejects(
		t.ecr.createRepository({ repositoryName: "kms", encryptionConfiguration: { encryptionType: "KMS" } }),
		named("InvalidParameterException", /AES256/),
	);
	await assert.rejects(
		t.ecr.createRepository({ repositoryName: "some", imageTagMutability: "MUTABLE_WITH_EXCLUSION" }),
		named("InvalidParameterException", /imageTagMutability/),
	);
	for (const name of ["aa", "bb", "cc"]) await t.ecr.createRepository({ repositoryName: name });
	const first = await t.ecr.describeRepositories({ maxResults: 3 });
	assert.deepEqual(
		first.repositories?.map((one) => one.repositoryName),
		["aa", "bb", "cc"],
	);
	const rest = await t.ecr.describeRepositories({ maxResults: 3, nextToken: first.nextToken });
	assert.deepEqual(
		rest.repositories?.map((one) => one.repositoryName),
		["team/app"],
	);
	assert.equal(rest.nextToken, undefined);
	assert.equal((await t.ecr.describeRepositories({ repositoryNames: ["bb"] })).repositories?.length, 1);
	await assert.rejects(
		t.ecr.describeRepositories({ repositoryNames: ["bb", "zz"] }),
		named("RepositoryNotFoundException", /'zz' does not exist in the registry with id '123456789012'/),
	);
	await assert.rejects(
		t.ecr.describeRepositories({ repositoryNames: ["bb"], registryId: "999999999999" }),
		named("RepositoryNotFoundException", /999999999999/),
	);
	for (const nextToken of ["x", Buffer.from('["a",-1]').toString("base64url")])
		await assert.rejects(t.ecr.describeRepositories({ nextToken }), named("InvalidParameterException", /nextToken/));
	await assert.rejects(
		t.ecr.describeRepositories({ maxResults: 1001 }),
		named("InvalidParameterException", /maxResults/),
	);

	await t.ecr.tagResource({
		resourceArn: arn,
		tags: [
			{ Key: "stage", Value: "dev" },
			{ Key: "owner", Value: "you" },
		],
	});
	await t.ecr.untagResource({ resourceArn: arn, tagKeys: ["stage", "none"] });
	assert.deepEqual((await t.ecr.listTagsForResource({ resourceArn: arn })).tags, [{ Key: "owner", Value: "you" }]);
	const many = Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: "" }));
	await assert.rejects(t.ecr.tagResource({ resourceArn: arn, tags: many }), named("TooManyTagsException"));
	await assert.rejects(
		t.ecr.tagResource({ resourceArn: arn, tags: [{ Key: "aws:x", Value: "" }] }),
		named("InvalidTagParameterException"),
	);
	await assert.rejects(
		t.ecr.listTagsForResource({ resourceArn: "arn:x" }),
		named("InvalidParameterException", /Invalid ARN/),
	);

	await t.ecr.putImageTagMutability({ repositoryName: "team/app", imageTagMutability: "MUTABLE" });
	const [described] = (await t.ecr.describeRepositories({ repositoryNames: ["team/app"] })).repositories ?? [];
	assert.equal(described?.imageTagMutability, "MUTABLE");
	await assert.rejects(t.ecr.getRepositoryPolicy({ repositoryName: "aa" }), named("RepositoryPolicyNotFoundException"));
	await assert.rejects(t.ecr.getLifecyclePolicy({ repositoryName: "aa" }), named("LifecyclePolicyNotFoundException"));
	await assert.rejects(t.ecr.getLifecyclePolicy({ repositoryName: "zz" }), named("RepositoryNotFoundException"));
	assert.equal((await t.ecr.deleteRepository({ repositoryName: "aa" })).repository?.repositoryName, "aa");
	await assert.rejects(t.ecr.deleteRepository({ repositoryName: "aa" }), named("RepositoryNotFoundException"));
});

test("a repository with images goes only by force", async () => {
	await using t = await setUp();
	await push(t.stores, "app", "1", makeImage());
	await assert.rejects(
		t.ecr.deleteRepository({ repositoryName: "app" }),
		named(
			"RepositoryNotEmptyException",
			/^The repository with name 'app' in registry with id '123456789012' cannot be deleted because it still contains images$/,
		),
	);
	await t.ecr.deleteRepository({ repositoryName: "app", force: true });
	assert.equal((await t.repositories.referencedDigests()).size, 0);
});

test("images: describe, list and get, with pages and filters", async () => {
	await using t = await setUp();
	const tagged = makeImage();
	const untagged = makeImage({ seed: "untagged" });
	for (const tag of ["1", "2", "latest"]) await push(t.stores, "app", tag, tagged);
	await push(t.stores, "app", undefined, untagged);
	const repositoryName = "app";
	const [detail] = (await t.ecr.describeImages({ repositoryName, imageIds: [{ imageTag: "2" }] })).imageDetails ?? [];
	assert.equal(detail?.imageDigest, tagged.document.digest);
	assert.deepEqual(detail?.imageTags, ["1", "2", "latest"]);
	assert.equal(detail?.imageManifestMediaType, mediaTypes.ociManifest);
	assert.equal(detail?.imagePushedAt?.getTime(), 1000);
	const layers = tagged.layers.reduce((sum, layer) => sum + layer.blob.length, tagged.config.length);
	assert.equal(detail?.imageSizeInBytes, layers);
	const all = await t.ecr.describeImages({ repositoryName });
	assert.equal(all.imageDetails?.length, 2);
	const page = await t.ecr.describeImages({ repositoryName, maxResults: 1 });
	const next = await t.ecr.describeImages({ repositoryName, maxResults: 1, nextToken: page.nextToken });
	assert.equal(next.nextToken, undefined);
	assert.notEqual(page.imageDetails?.[0]?.imageDigest, next.imageDetails?.[0]?.imageDigest);
	const only = await t.ecr.describeImages({ repositoryName, filter: { tagStatus: "UNTAGGED" } });
	assert.deepEqual(
		only.imageDetails?.map((one) => one.imageDigest),
		[untagged.document.digest],
	);
	await assert.rejects(
		t.ecr.describeImages({ repositoryName, imageIds: [{ imageTag: "9" }] }),
		named(
			"ImageNotFoundException",
			/^The image with imageId \{imageDigest:'null', imageTag:'9'\} does not exist within the repository with name 'app' in the registry with id '123456789012'$/,
		),
	);
	await assert.rejects(t.ecr.describeImages({ repositoryName: "zz" }), named("RepositoryNotFoundException"));

	const ids = [];
	let nextToken: string | undefined;
	let pages = 0;
	do {
		const listed = await t.ecr.listImages({ repositoryName, maxResults: 1, nextToken });
		ids.push(...(listed.imageIds ?? []));
		nextToken = listed.nextToken;
		pages++;
	} while (nextToken !== undefined && pages < 10);
	const expected = [`- ${short(untagged)}`, ...["1", "2", "latest"].map((tag) => `${tag} ${short(tagged)}`)].sort();
	assert.deepEqual(sorted(ids), expected);
	assert.equal(pages, 4);
	const taggedOnly = await t.ecr.listImages({ repositoryName, filter: { tagStatus: "TAGGED" } });
	assert.equal(taggedOnly.imageIds?.length, 3);

	const got = await t.ecr.batchGetImage({
		repositoryName,
		imageIds: [{ imageTag: "1" }, { imageTag: "9" }, { imageDigest: "sha256:x" }, {}],
	});
	assert.equal(got.images?.[0]?.imageManifest, tagged.document.bytes.toString());
	assert.deepEqual(got.images?.[0]?.imageId, { imageDigest: tagged.document.digest, imageTag: "1" });
	assert.deepEqual(
		got.failures?.map((failure) => failure.failureCode),
		["ImageNotFound", "InvalidImageDigest", "MissingDigestAndTag"],
	);
});

test("images: delete by tag, by digest, and not from under an index", async () => {
	await using t = await setUp();
	const repositoryName = "app";
	const image = makeImage();
	for (const tag of ["1", "2"]) await push(t.stores, "app", tag, image);
	const imageDigest = image.document.digest;
	const byTag = await t.ecr.batchDeleteImage({ repositoryName, imageIds: [{ imageTag: "1" }] });
	assert.deepEqual(sorted(byTag.imageIds), [`1 ${short(image)}`]);
	const mismatch = await t.ecr.batchDeleteImage({ repositoryName, imageIds: [{ imageDigest, imageTag: "1" }] });
	assert.equal(mismatch.failures?.[0]?.failureCode, "ImageTagDoesNotMatchDigest");
	assert.ok(await t.repositories.getManifest("app", { digest: imageDigest }));
	const last = await t.ecr.batchDeleteImage({ repositoryName, imageIds: [{ imageTag: "2" }] });
	assert.deepEqual(sorted(last.imageIds), [`2 ${short(image)}`]);
	assert.equal(await t.repositories.getManifest("app", { digest: imageDigest }), undefined);
	assert.equal((await t.repositories.referencedDigests()).size, 0, "its blobs are the collector's now");

	const index = makeIndex([{ image, architecture: "amd64" }]);
	await push(t.stores, "app", "child", image);
	await push(t.stores, "app", "multi", index);
	const held = await t.ecr.batchDeleteImage({ repositoryName, imageIds: [{ imageDigest }] });
	assert.equal(held.failures?.[0]?.failureCode, "ImageReferencedByManifestList");
	const both = await t.ecr.batchDeleteImage({
		repositoryName,
		imageIds: [{ imageDigest }, { imageTag: "none" }, { imageTag: "multi" }],
	});
	assert.deepEqual(sorted(both.imageIds), [`child ${short(image)}`, `multi ${short(index)}`].sort());
	assert.deepEqual(
		both.failures?.map((failure) => failure.failureCode),
		["ImageNotFound"],
	);
	const many = Array.from({ length: 101 }, (_, i) => ({ imageTag: `${i}` }));
	await assert.rejects(t.ecr.batchDeleteImage({ repositoryName, imageIds: many }), named("InvalidParameterException"));
});

test("images: an image that is there gets another tag", async () => {
	await using t = await setUp();
	const repositoryName = "app";
	const [one, two] = [makeImage(), makeImage({ seed: "two" })];
	await push(t.stores, "app", "1", one);
	await push(t.stores, "app", "2", two);
	const { images } = await t.ecr.batchGetImage({ repositoryName, imageIds: [{ imageTag: "1" }] });
	const imageManifest = images?.[0]?.imageManifest ?? "";
	const put = await t.ecr.putImage({ repositoryName, imageManifest, imageTag: "prod" });
	assert.deepEqual(put.image?.imageId, { imageDigest: one.document.digest, imageTag: "prod" });
	assert.equal((await t.repositories.getManifest("app", { tag: "prod" }))?.digest, one.document.digest);
	await assert.rejects(
		t.ecr.putImage({ repositoryName, imageManifest, imageTag: "prod" }),
		named("ImageAlreadyExistsException", /^Image with digest 'sha256:\w+' and tag 'prod' already exists/),
	);
	await t.ecr.putImageTagMutability({ repositoryName, imageTagMutability: "IMMUTABLE" });
	await assert.rejects(
		t.ecr.putImage({ repositoryName, imageManifest, imageTag: "2" }),
		named("ImageTagAlreadyExistsException", /'2' already exists in the 'app' repository/),
	);
	const absent = makeImage({ seed: "absent" }).document.bytes.toString();
	await assert.rejects(t.ecr.putImage({ repositoryName, imageManifest: absent }), named("LayersNotFoundException"));
	await assert.rejects(
		t.ecr.putImage({ repositoryName, imageManifest: absent, imageDigest: one.document.digest }),
		named("ImageDigestDoesNotMatchException"),
	);
	await assert.rejects(t.ecr.putImage({ repositoryName, imageManifest: "{}" }), named("InvalidParameterException"));
});
