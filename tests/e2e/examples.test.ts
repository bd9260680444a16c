import assert from "node:assert/strict";
import { test } from "node:test";
import { findBuilder } from "../../tools/builder.ts";
import { aws, deployFunction, invokeByCli, invokeByCurl, pushImage, registryPassword } from "../../tools/deploy.ts";
import { buildExample, isRightAnswer, readExamples } from "../../tools/examples.ts";
import { startDaemon } from "../../tools/local-daemon.ts";

const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";

test("every example is built, pushed, created and invoked with the programs that a user would type", {
	skip,
}, async (t) => {
	const builder = await findBuilder();
	await using daemon = await startDaemon();
	const password = await registryPassword(daemon);
	for (const example of await readExamples()) {
		await t.test(example.name, async () => {
			await buildExample(example, builder, (line) => t.diagnostic(line));
			const imageUri = await pushImage(daemon, builder, example.image, password);
			await deployFunction(daemon, example, imageUri);
			const curl = await invokeByCurl(daemon, example.image, example.event);
			assert.equal(curl.status, 200);
			assert.ok(isRightAnswer(example, curl.body), `curl got ${curl.body}`);
			const body = await invokeByCli(daemon, example.image, example.event);
			assert.ok(isRightAnswer(example, body), `the aws CLI got ${body}`);
			await deployFunction(daemon, example, imageUri); // update-function-code, as the same person does next
			assert.ok(isRightAnswer(example, await invokeByCli(daemon, example.image, example.event)));
			await aws(daemon, "lambda", "delete-function", "--function-name", example.image);
		});
	}
});
