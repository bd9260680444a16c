/** Functions over a store in memory and images that the test makes ready, for the tests of what belongs to functions. */
import { systemClock } from "../../base/clock.ts";
import { type ErrorCode, isSlipwayError, SlipwayError } from "../../base/error.ts";
import { type Ids, randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { FunctionStore } from "../../core/function/function-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { FunctionImages } from "../functions/function-images.ts";
import { Functions } from "../functions/functions.ts";

export const role = "arn:aws:iam::123456789012:role/r";
export const imageUri = (n: number) => `registry/app:v${n}`;
export const digest = (n: number): Digest => `sha256:${String(n).repeat(64)}`;
export const arn = "arn:aws:lambda:us-east-1:123456789012:function:f";

/** Images `registry/app:vN` whose preparation waits for the test while `hold` is set. */
export class HeldImages implements FunctionImages {
	readonly waiting: { finish: () => void; fail: (error: unknown) => void }[] = [];
	hold = false;

	async resolve(uri: string) {
		const version = Number(/v(\d)/.exec(uri)?.[1]);
		if (!version)
			throw new SlipwayError("INVALID_IMAGE", `Source image ${uri} does not exist. Provide a valid source image.`);
		const image = {
			diffIds: [digest(version)],
			entrypoint: ["/e"],
			cmd: [],
			env: {},
			workingDir: "/",
			user: "",
			architecture: "x86_64",
			size: 10,
		};
		return {
			resolvedImageUri: `registry/app@${digest(version)}#v${version}`,
			manifestDigest: digest(version),
			image,
		};
	}

	async prepare() {
		if (!this.hold) return;
		await new Promise<void>((resolve, reject) => this.waiting.push({ finish: resolve, fail: reject }));
	}
}

export interface OpenFunctionsOptions {
	store?: FunctionStore;
	random?: () => number;
	ids?: Ids;
}

export async function openFunctions(options: OpenFunctionsOptions = {}) {
	const { store = new FakeFunctionStore(), random, ids = randomIds } = options;
	const images = new HeldImages();
	const ended: FunctionRevision[] = [];
	const active: FunctionRevision[] = [];
	const functions = await Functions.open({
		store,
		images,
		clock: systemClock,
		ids,
		log: silentLog,
		region: "us-east-1",
		accountId: "123456789012",
		...(random ? { random } : {}),
		onRevisionChange: (_name, revision) => ended.push(revision),
		onActive: (revision) => active.push(revision),
	});
	return { functions, records: functions.records, images, store, ids, ended, active };
}

export type OpenedFunctions = Awaited<ReturnType<typeof openFunctions>>;

/** The function "f" of image 1, or another, and Active. */
export async function activeFunction({ functions }: OpenedFunctions, name = "f"): Promise<void> {
	await functions.create({ name, role, imageUri: imageUri(1) });
	await functions.settled();
}

/** For assert.throws and assert.rejects. `message` as a text is the whole message. */
export function failsWith(code: ErrorCode, message?: RegExp | string, reason?: string) {
	return (error: unknown): boolean => {
		if (!isSlipwayError(error, code)) throw error;
		const isMessage = typeof message === "string" ? error.message === message : (message?.test(error.message) ?? true);
		if (!isMessage) throw new Error(`Another message: ${error.message}`);
		if (reason !== undefined && error.reason !== reason) throw new Error(`Another reason: ${error.reason}`);
		return true;
	};
}
