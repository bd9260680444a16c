/** What each stand-in base image holds; tools/base-images/FOLDER/customize.sh does the rest. */
export interface Recipe {
	/** The public image's name, so that a Dockerfile's FROM line stays as it is printed. */
	name: string;
	folder: string;
	/** Debian packages on top of the minimal system. */
	packages: string[];
	/** Files from other registries: the customize script finds each one's path in the variable named here. */
	npm?: Record<string, string>;
	/** Further variables for the customize script. */
	variables?: Record<string, string>;
	config: { Env: string[]; WorkingDir?: string; Entrypoint?: string[]; Cmd?: string[] };
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** As the public Lambda base images set them, less the language's own search paths. */
const lambdaEnv = [
	"LANG=C.UTF-8",
	"TZ=:/etc/localtime",
	`PATH=/var/lang/bin:${systemPath}:/opt/bin`,
	"LAMBDA_TASK_ROOT=/var/task",
	"LAMBDA_RUNTIME_DIR=/var/runtime",
];
const lambdaConfig = { Env: lambdaEnv, WorkingDir: "/var/task", Entrypoint: ["/lambda-entrypoint.sh"] };

const nodePackage = `node-linux-${process.arch === "arm64" ? "arm64" : "x64"}@24.21.0`;

export const recipes: Recipe[] = [
	{
		name: "public.ecr.aws/lambda/python:3.11",
		folder: "python",
		packages: ["ca-certificates", "python3", "python3-pip"],
		variables: { AWSLAMBDARIC: "4.2.2" },
		config: lambdaConfig,
	},
	{
		name: "public.ecr.aws/lambda/nodejs:24",
		folder: "node",
		packages: ["ca-certificates", "libstdc++6"],
		npm: {
			NODE_ARCHIVE: nodePackage,
			RIC_ARCHIVE: "aws-lambda-ric@4.0.2",
			STORE_ARCHIVE: "@aws/lambda-invoke-store@0.2.2",
			ADDON_ARCHIVE: "node-addon-api@8.9.2",
		},
		config: lambdaConfig,
	},
	{
		name: "public.ecr.aws/lambda/provided:al2023",
		folder: "provided",
		packages: ["ca-certificates"],
		config: lambdaConfig,
	},
	{
		name: "public.ecr.aws/amazonlinux/amazonlinux:2023",
		folder: "amazonlinux",
		packages: ["ca-certificates", "curl", "jq", "tar", "gzip", "git", "unzip"],
		config: { Env: [`PATH=${systemPath}`, "LANG=C.UTF-8"], Cmd: ["/bin/bash"] },
	},
	{
		name: "debian:bookworm-slim",
		folder: "debian-slim",
		packages: ["ca-certificates"],
		config: { Env: [`PATH=${systemPath}`], Cmd: ["bash"] },
	},
	{
		name: "node:24-slim",
		folder: "node-slim",
		packages: ["ca-certificates", "libstdc++6"],
		npm: { NODE_ARCHIVE: nodePackage },
		config: { Env: [`PATH=${systemPath}`], Cmd: ["node"] },
	},
	{
		name: "python:3.11-slim",
		folder: "python-slim",
		packages: ["ca-certificates", "python3", "python3-pip"],
		config: { Env: [`PATH=${systemPath}`, "LANG=C.UTF-8"], Cmd: ["python3"] },
	},
];
