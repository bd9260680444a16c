/** The environment of a function's process. */
import assert from "node:assert/strict";
import { randomIds } from "../../../src/base/ids.ts";
import { silentLog } from "../../../src/base/log.ts";
import { LambdaContract } from "../../../src/contracts/lambda/lambda-contract.ts";
import { testRevision } from "../../../src/contracts/lambda/testing/test-session.ts";
import type { FunctionConfiguration, RunnableImage } from "../../../src/core/function/function.ts";
import type { InitializationType } from "../../../src/core/invocation/function-contract.ts";
import { clause } from "./clause.ts";

const area = "Execution environment";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html";
const recording =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_common.snapshot.json";
const rie =
	"https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda-managed-instances/rapidcore/env/environment.go";
const images = "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html";

function processOf(
	configuration: Partial<FunctionConfiguration> = {},
	image: Partial<RunnableImage> = {},
	initializationType: InitializationType = "on-demand",
) {
	const contract = new LambdaContract({ region: "eu-west-1", ids: randomIds, log: silentLog });
	const revision = testRevision(configuration);
	Object.assign(revision.image, image);
	return contract.process(revision, { id: "fn-1", logStream: "2026/11/21/[$LATEST]ab", initializationType });
}

clause(
	{ area, says: "Every variable that the platform sets for an image's process is there", source: recording },
	() => {
		const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, ...env } = processOf().env;
		assert.match(AWS_ACCESS_KEY_ID ?? "", /^ASIA[0-9A-F]{16}$/);
		assert.match(AWS_SECRET_ACCESS_KEY ?? "", /^.{40}$/);
		assert.match(AWS_SESSION_TOKEN ?? "", /^.{64}$/);
		assert.deepEqual(env, {
			PATH: "/usr/local/bin:/usr/bin:/bin:/opt/bin",
			AWS_EXECUTION_ENV: "AWS_Lambda_Image",
			AWS_LAMBDA_FUNCTION_NAME: "f",
			AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
			AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
			AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
			AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/f",
			AWS_LAMBDA_LOG_STREAM_NAME: "2026/11/21/[$LATEST]ab",
			AWS_REGION: "eu-west-1",
			AWS_DEFAULT_REGION: "eu-west-1",
			AWS_XRAY_CONTEXT_MISSING: "LOG_ERROR",
			AWS_XRAY_DAEMON_ADDRESS: "127.0.0.1:2000",
			_AWS_XRAY_DAEMON_ADDRESS: "127.0.0.1",
			_AWS_XRAY_DAEMON_PORT: "2000",
			LAMBDA_TASK_ROOT: "/var/task",
			LAMBDA_RUNTIME_DIR: "/var/runtime",
		});
		assert.equal(
			new LambdaContract({ region: "r", ids: randomIds, log: silentLog }).endpointVariable,
			"AWS_LAMBDA_RUNTIME_API",
		);
	},
);

clause(
	{ area, says: "An image gets no _HANDLER, and PATH, LANG, LD_LIBRARY_PATH and TZ from itself", source: rie },
	() => {
		const env = processOf({}, { env: { PATH: "/mine", LANG: "de_DE.UTF-8", TZ: "Europe/Berlin" } }).env;
		assert.deepEqual([env.PATH, env.LANG, env.TZ], ["/mine", "de_DE.UTF-8", "Europe/Berlin"]);
		for (const name of ["_HANDLER", "LANG", "LD_LIBRARY_PATH", "TZ"]) assert.ok(!(name in processOf().env), name);
	},
);

clause(
	{ area, says: "The function's own variables win over the image's, and the platform's over both", source: guide },
	() => {
		const env = processOf(
			{ environment: { A: "function", PATH: "/function", AWS_XRAY_CONTEXT_MISSING: "IGNORE_ERROR", TZ: "Asia/Tokyo" } },
			{ env: { A: "image", B: "image", AWS_REGION: "mars", AWS_LAMBDA_FUNCTION_NAME: "other" } },
		).env;
		assert.deepEqual(
			[env.A, env.B, env.PATH, env.AWS_REGION, env.AWS_LAMBDA_FUNCTION_NAME, env.AWS_XRAY_CONTEXT_MISSING, env.TZ],
			["function", "image", "/function", "eu-west-1", "f", "IGNORE_ERROR", "Asia/Tokyo"],
		);
	},
);

clause({ area, says: "Reserved names and names that start with _ can't be set by the function", source: rie }, () => {
	const reserved = {
		AWS_LAMBDA_RUNTIME_API: "1.2.3.4:5",
		AWS_LAMBDA_MAX_CONCURRENCY: "9",
		AWS_SESSION_TOKEN: "mine",
		_SECRET: "x",
	};
	const env = processOf({ environment: reserved }, { env: { AWS_LAMBDA_RUNTIME_API: "6.7.8.9:1" } }).env;
	for (const [name, value] of Object.entries(reserved)) assert.notEqual(env[name], value, name);
	assert.equal(env.AWS_LAMBDA_RUNTIME_API, undefined, "the sandbox's own endpoint is set where it is known");
});

clause({ area, says: "A function that logs JSON finds format and level in its environment", source: guide }, () => {
	const level = (applicationLogLevel: string | undefined) => {
		const { env } = processOf({ logFormat: "JSON", applicationLogLevel });
		return [env.AWS_LAMBDA_LOG_FORMAT, env.AWS_LAMBDA_LOG_LEVEL];
	};
	assert.deepEqual(level(undefined), ["JSON", "INFO"]);
	assert.deepEqual(level("DEBUG"), ["JSON", "DEBUG"]);
	assert.equal(processOf().env.AWS_LAMBDA_LOG_FORMAT, undefined);
});

clause({ area, says: "AWS_LAMBDA_INITIALIZATION_TYPE tells provisioned concurrency apart", source: guide }, () => {
	assert.equal(
		processOf({}, {}, "provisioned-concurrency").env.AWS_LAMBDA_INITIALIZATION_TYPE,
		"provisioned-concurrency",
	);
});

clause(
	{
		area,
		says: "ImageConfig replaces the image's entrypoint, command and working directory, each by itself",
		source: images,
	},
	() => {
		const shape = (imageConfig: FunctionConfiguration["imageConfig"]) => {
			const { args, cwd } = processOf({ imageConfig });
			return [args, cwd];
		};
		assert.deepEqual(shape(undefined), [["/lambda-entrypoint.sh", "app.handler"], "/var/task"]);
		assert.deepEqual(shape({ command: ["other.handler"] }), [["/lambda-entrypoint.sh", "other.handler"], "/var/task"]);
		assert.deepEqual(shape({ entryPoint: ["/bin/x"], workingDirectory: "/w" }), [["/bin/x", "app.handler"], "/w"]);
	},
);

clause({ area, says: "USER is ignored: a function runs unprivileged", source: images }, () => {
	const { user } = processOf({}, { user: "root" });
	assert.ok(user.uid > 0 && user.gid > 0);
});
