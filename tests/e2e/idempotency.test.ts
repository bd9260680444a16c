/** The idempotency keys as code in real sandboxes reaches them: a function, another one, and a service. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { cli, startTestDaemon } from "../services/service-client.ts";
import { FunctionClient } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";

const skip = missingForFunctionImages() ?? false;

/**
 * `key METHOD KEY [BODY|SIZE]`: one raw request; ~ stands for a quotation mark, and a number for a body of so many bytes. The
 * connection is not half closed behind the request: to Node's server that is a client that has gone.
 */
const key = `#!/bin/busybox sh
export METHOD=$1 KEY=$2 BODY=$3
nc slipway.internal 80 -e /bin/request
tr -d '\\r' </tmp/reply
`;
const request = `#!/bin/busybox sh
case $BODY in
'' | *[!0-9]*) printf '%s' "$BODY" | tr '~' '"' >/tmp/body ;;
*) { printf '{"token":"t","result":"'; head -c "$BODY" /dev/zero | tr '\\0' x; printf '"}'; } >/tmp/body ;;
esac
printf '%s /v1/idempotency/%s HTTP/1.1\\r\\nHost: slipway.internal\\r\\nConnection: close\\r\\nContent-Length: %s\\r\\n\\r\\n' \\
	"$METHOD" "$KEY" "$(stat -c %s /tmp/body)"
cat /tmp/body
cat >/tmp/reply
`;
/** A service whose answer is what a claim of its own answered. */
const claimer = `#!/bin/busybox sh
read -r line
[ -n "$line" ] || exit 0 # a probe
answer=$(key PUT "service-key" "{}")
printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "\${#answer}" "$answer"
`;

describe("Idempotency keys from inside", { skip }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;
	const ask = async (name: string, command: string): Promise<string> =>
		String((await client.invoke(name, { do: "sh", command })).json);
	const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
	const tokenOf = (answer: string) => / token : ([0-9a-f]+) /.exec(answer)?.[1] ?? "";

	before(async () => {
		daemon = await startTestDaemon();
		client = new FunctionClient(daemon);
		const image = await pushShellRuntime(
			daemon,
			"keys",
			{},
			{ "bin/key": key, "bin/request": request, "bin/claimer": claimer },
		);
		for (const name of ["one", "two"]) await client.createActive(name, image, { Timeout: 10 });
		const words = ["nc", "-ll", "-p", "8080", "-e", "/bin/claimer"].map((word) => `--args=${word}`);
		await cli(daemon, "service", "deploy", image, "--name", "claimer", "--command", "/bin/busybox", ...words);
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	test("keys are each function's and service's own", async () => {
		const first = await ask("one", "key PUT order%2F1 {}");
		assert.equal(statusOf(first), 201, first);
		assert.equal(statusOf(await ask("one", "key PUT order%2F1 {}")), 409);
		// Another function can neither see nor end it, even with its token.
		const token = tokenOf(first);
		assert.equal(statusOf(await ask("two", `key POST order%2F1 {~token~:~${token}~}`)), 412);
		assert.equal(statusOf(await ask("two", `key DELETE 'order%2F1?token=${token}'`)), 412);
		assert.equal(statusOf(await ask("two", "key PUT order%2F1 {}")), 201);
		assert.equal(statusOf(await ask("one", `key POST order%2F1 {~token~:~${token}~,~result~:{~paid~:true}}`)), 204);
		assert.match(await ask("one", "key PUT order%2F1 {}"), /200 OK.* state : completed .* result :\{ paid :true\}/);
		assert.match(await cli(daemon, "service", "curl", "claimer"), /^HTTP\/1\.1 201/);
		assert.match(await cli(daemon, "service", "curl", "claimer"), /^HTTP\/1\.1 409/);
		assert.equal(statusOf(await ask("one", "key PUT service-key {}")), 201);
	});

	test("a claim of a killed sandbox is free when its lease is over", async () => {
		const claimed = await ask("one", "key PUT killed {~leaseSeconds~:2}");
		assert.equal(statusOf(claimed), 201, claimed);
		await client.invoke("one", { do: "signal", size: 9 });
		const found: number[] = [];
		for (let tries = 0; tries < 200 && found.at(-1) !== 201; tries++) {
			const answer = await ask("one", "key PUT killed {~leaseSeconds~:2}");
			found.push(statusOf(answer));
			if (found.at(-1) === 201) assert.match(answer, / attempt :2/);
			else await sleep(100);
		}
		assert.equal(found.at(-1), 201, found.join());
	});

	test("hostile requests are refused in words, and the next one is served", async () => {
		const refused: [string, number][] = [
			["key PUT long {~leaseSeconds~:99999}", 400],
			["key PUT long {~leaseSeconds~:~1~}", 400],
			["key PUT long {~other~:1}", 400],
			["key PUT long not-json", 400],
			["key PUT %E0%A4 {}", 400],
			["key PUT '' {}", 404],
			["key PUT a/b {}", 404],
			["key PUT ../../2015-03-31/functions {}", 404],
			["key PATCH long {}", 400],
			["key DELETE long", 400],
			["key POST long {~token~:~no~}", 412],
			["key POST long 420000", 413],
			["key PUT $(printf %02000d 7) {}", 400],
		];
		for (const [command, status] of refused) {
			const answer = await ask("one", command);
			assert.equal(statusOf(answer), status, `${command}: ${answer.slice(0, 300)}`);
		}
		assert.equal(statusOf(await ask("one", "key PUT after {}")), 201);
	});
});
