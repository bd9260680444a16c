/**
 * AWS Lambda's runtime clients that other people wrote and publish, each with what it does in its own way. What they have in
 * common is in cases.ts.
 */
import { copyFile, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { findGo } from "../../tools/go.ts";
import { run } from "../../tools/run.ts";
import { cacheFolder, type ImageSource } from "./image.ts";
import { needCommands, needRust } from "./toolchains.ts";

const here = import.meta.dirname;

/** How a process ends, as the caller's error says it: by itself, or after the client reported why. */
export type End = { exit: number } | { signal: string } | { reported: { errorType: string; errorMessage: string } };

export interface RuntimeClient {
	/** Package and language, as the tests' names say it. */
	name: string;
	/** Where the client's code is. */
	source: string;
	image: ImageSource;
	memoryMiB: number;
	/** A failure that the client does not catch. */
	crash: End;
	/** A promise that nobody handles (Node.js). */
	reject?: End;
	/** A panic that the client reports; the process goes on, or ends with it. */
	panic?: { errorMessage: string; survives: boolean };
	errorType: RegExp;
	/** The handler can ask for its user's home folder as the system's user database has it. */
	home?: boolean;
	/** What the caller gets when the handler's module fails to load: the client's report, or the process's end. */
	initError: { errorType: RegExp } | { exit: number };
	/** Whether the process goes on after the platform refused its answer with 413. */
	survivesTooLarge: boolean;
	/** Of the JSON log lines: where the text and the request's id are. */
	jsonLog: { message: string; requestId: string | undefined };
	/** Undefined: the client has no streaming. */
	streaming?: {
		command?: string[];
		/** What comes before the handler's own bytes. */
		prelude?: RegExp;
		errors: boolean;
	};
}

const exit = (code: number) => ({ exit: code });

export const runtimeClients: RuntimeClient[] = [
	{
		name: "aws-lambda-ric 4.0.2 (Node.js)",
		source: "https://github.com/aws/aws-lambda-nodejs-runtime-interface-client",
		image: { name: "node", folder: join(here, "node") },
		memoryMiB: 512,
		crash: exit(1),
		reject: exit(1),
		errorType: /^Refused$/,
		initError: { errorType: /^Refused$/ },
		survivesTooLarge: true,
		jsonLog: { message: "message", requestId: "requestId" },
		streaming: { command: ["index.streaming"], errors: true },
	},
	{
		name: "aws-lambda-ric 3.3.0 (Node.js, own base image)",
		source: "https://github.com/aws/aws-lambda-nodejs-runtime-interface-client",
		image: {
			name: "node-own-base",
			folder: join(here, "node-own-base"),
			sources: [join(here, "node/index.mjs")],
			versions: ["24.21.0", "11.6.0"],
			prepare: async (context) => {
				await copyFile(join(here, "node/index.mjs"), join(context, "index.mjs"));
				const platform = process.arch === "arm64" ? "arm64" : "x64";
				await unpackNpm(`node-linux-${platform}@24.21.0`, join(context, "node"));
				const npm = join(context, "node/lib/node_modules/npm");
				await unpackNpm("npm@11.6.0", npm);
				for (const name of ["npm", "npx"])
					await run("ln", ["-s", `../lib/node_modules/npm/bin/${name}-cli.js`, join(context, "node/bin", name)]);
			},
		},
		memoryMiB: 1024,
		crash: { reported: { errorType: "Refused", errorMessage: "told to crash" } },
		reject: {
			reported: { errorType: "Runtime.UnhandledPromiseRejection", errorMessage: "Refused: told to reject" },
		},
		errorType: /^Refused$/,
		initError: { errorType: /^Refused$/ },
		survivesTooLarge: true,
		jsonLog: { message: "message", requestId: "requestId" },
		streaming: { command: ["index.streaming"], errors: true },
	},
	{
		name: "awslambdaric 4.2.2 (Python)",
		source: "https://github.com/aws/aws-lambda-python-runtime-interface-client",
		image: { name: "python", folder: join(here, "python") },
		memoryMiB: 512,
		crash: exit(1),
		errorType: /^Refused$/,
		home: true,
		initError: { errorType: /^Refused$/ },
		survivesTooLarge: false,
		jsonLog: { message: "message", requestId: "requestId" },
	},
	{
		name: "aws-lambda-go 1.55.1 (Go)",
		source: "https://github.com/aws/aws-lambda-go",
		image: { name: "go", folder: join(here, "go"), prepare: compileGo },
		memoryMiB: 256,
		crash: exit(2),
		panic: { errorMessage: "told to panic", survives: false },
		errorType: /^refused$/,
		initError: exit(2),
		survivesTooLarge: false,
		jsonLog: { message: "message", requestId: "requestId" },
		streaming: { errors: true },
	},
	{
		name: "lambda_runtime 1.5.0 (Rust)",
		source: "https://github.com/aws/aws-lambda-rust-runtime",
		image: { name: "rust", folder: join(here, "rust"), prepare: compileRust },
		memoryMiB: 256,
		crash: { signal: "aborted" },
		panic: { errorMessage: "Lambda panicked: told to panic", survives: true },
		errorType: /^Refused$/,
		initError: exit(1),
		survivesTooLarge: true,
		// Nothing of the request: the crate's subscriber leaves out its span's fields.
		jsonLog: { message: "fields.message", requestId: undefined },
		streaming: { prelude: /^\{[\s\S]*?\}\0{8}/, errors: false },
	},
	{
		name: "aws-lambda-java-runtime-interface-client 2.9.0 (Java)",
		source: "https://github.com/aws/aws-lambda-java-libs/tree/main/aws-lambda-java-runtime-interface-client",
		image: { name: "java", folder: join(here, "java"), prepare: compileJava },
		memoryMiB: 1024,
		crash: exit(134),
		panic: { errorMessage: "told to panic", survives: false },
		errorType: /^example\.Refused$/,
		initError: { errorType: /^example\.Refused$/ },
		survivesTooLarge: false,
		jsonLog: { message: "message", requestId: "AWSRequestId" },
	},
	{
		name: "curl (shell)",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html",
		image: { name: "shell", folder: join(here, "shell") },
		memoryMiB: 256,
		crash: exit(1),
		errorType: /^Refused$/,
		initError: { errorType: /^Refused$/ },
		survivesTooLarge: true,
		jsonLog: { message: "message", requestId: "requestId" },
		streaming: { errors: false },
	},
];

async function compileGo(context: string): Promise<void> {
	const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" };
	const words = ["build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", "main", "."];
	await run(await findGo(), words, { cwd: context, env });
}

async function compileRust(context: string): Promise<void> {
	// The crate's own minimum.
	await needRust(84);
	const target = /^host: (\S+)$/m.exec(await run("rustc", ["-vV"]))?.[1];
	if (target === undefined) throw new Error("rustc -vV names no host");
	const folder = join(cacheFolder, "rust-target");
	const env = { ...process.env, RUSTFLAGS: "-C target-feature=+crt-static", CARGO_TARGET_DIR: folder };
	await run("cargo", ["build", "--quiet", "--release", "--target", target], { cwd: context, env });
	await copyFile(join(folder, target, "release/bootstrap"), join(context, "main"));
}

/** What the client and its JSON libraries use of the JDK. */
const javaModules = "java.base,java.logging,java.management,java.naming,java.sql,java.xml,jdk.unsupported";

async function compileJava(context: string): Promise<void> {
	const jdk = "openjdk-17-jdk-headless";
	await needCommands({ javac: jdk, jlink: jdk, mvn: "maven" });
	const cwd = { cwd: context };
	await run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], cwd);
	await run("javac", ["-cp", "lib/*", "-d", "classes", "example/Handler.java", "example/Refused.java"], cwd);
	const sizes = ["--strip-debug", "--no-header-files", "--no-man-pages", "--compress=2"];
	await run("jlink", ["--add-modules", javaModules, ...sizes, "--output", "runtime"], cwd);
	// Class data sharing halves the start of a virtual machine.
	await run(join(context, "runtime/bin/java"), ["-Xshare:dump"], cwd);
}

async function unpackNpm(name: string, target: string): Promise<void> {
	await mkdir(cacheFolder, { recursive: true });
	const work = await mkdtemp(join(cacheFolder, "npm-"));
	try {
		await run("npm", ["pack", "--silent", "--pack-destination", work, name]);
		const [file] = await readdir(work);
		if (file === undefined) throw new Error(`npm pack ${name} left no file`);
		await mkdir(target, { recursive: true });
		await run("tar", ["-C", target, "--strip-components=1", "-xzf", join(work, file)]);
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}
