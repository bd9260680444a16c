import { createHash } from "node:crypto";

export async function handler(event, context) {
	return {
		statusCode: 200,
		body: createHash("sha256")
			.update(event.text ?? "")
			.digest("hex"),
		node: process.versions.node.split(".")[0],
		memory: context.memoryLimitInMB,
	};
}
