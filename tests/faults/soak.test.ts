/** A short `npm run soak`: what ten thousand invocations must not leave, three hundred must not either. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { soak } from "../soak/soak.ts";

describe("three hundred invocations of which an eighth fail", { skip: missingForFunctionImages() ?? false }, () => {
	test("leave nothing, neither while the daemon lives nor after its end", async () => {
		const report = await soak({
			invocations: 300,
			coldStarts: 100,
			warmUp: 100,
			egress: true,
			compareMemory: false,
			onProgress: () => {},
		});
		assert.deepEqual(report.problems, []);
		const { starts, failed, wrong } = report.cold;
		assert.ok(starts >= 100 && failed >= 10 && wrong === 0, `${starts} cold starts, ${failed} failed, ${wrong} wrong`);
		const { examples: _, ...counts } = report.tally;
		assert.deepEqual(counts, {
			answered: 243,
			left: 15,
			timedOut: 15,
			crashed: 15,
			outOfMemory: 3,
			initFailed: 3,
			streamed: 3,
			hungUp: 3,
			wrong: 0,
		});
	});
});
