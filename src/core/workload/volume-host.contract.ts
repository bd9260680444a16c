import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { VolumeHost } from "./volume-host.ts";

export interface VolumeHostHarness extends AsyncDisposable {
	volumes: VolumeHost;
}

/** What every `VolumeHost` does, also one whose volumes are names only. */
export function volumeHostContract(name: string, open: () => Promise<VolumeHostHarness>): void {
	describe(`VolumeHost contract: ${name}`, () => {
		let harness: VolumeHostHarness;
		before(async () => {
			harness = await open();
		});
		after(() => harness?.[Symbol.asyncDispose]());

		test("each emptyDir has a folder of its own", async () => {
			await using one = await harness.volumes.emptyDir("one-0", 1);
			await using other = await harness.volumes.emptyDir("other-0", 1);
			assert.notEqual(one.path, other.path);
			assert.ok(one.path.startsWith("/"));
		});

		test("a claim has the same folder each time", async () => {
			await using first = await harness.volumes.persistent("data.db-1");
			await using second = await harness.volumes.persistent("data.db-1");
			assert.equal(first.path, second.path);
		});

		test("a folder within a volume stays in it", async () => {
			await using volume = await harness.volumes.emptyDir("sub-0", 1);
			for (const path of ["", "a/b", "a/b", "./a//c/"]) await volume.ensure(path);
			for (const path of ["..", "a/../../x"])
				await assert.rejects(volume.ensure(path), (error) => isSlipwayError(error, "INVALID"));
		});
	});
}
