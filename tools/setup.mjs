#!/usr/bin/env node
// Makes a fresh clone ready, then runs a file of it under the Node that the project is written for:
//   node tools/setup.mjs [--run FILE ARGUMENTS…]
// Plain JavaScript for whatever Node (18 or later) the machine has; silent when there is nothing to do.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const nodeBinary = join(root, "node_modules", "node", "bin", "node");
const installedLock = join(root, "node_modules", ".package-lock.json");

// The commands that Slipway, its examples and its tests start, and the Debian package that brings each. One that is
// there already counts, whatever package or hand it came from.
const commands = {
	crun: "crun",
	skopeo: "skopeo",
	ip: "iproute2",
	nft: "nftables",
	iptables: "iptables",
	"mkfs.ext4": "e2fsprogs",
	unshare: "util-linux",
	busybox: "busybox-static",
	mmdebstrap: "mmdebstrap",
	curl: "curl",
	wrk: "wrk",
	gcc: "gcc",
	pip3: "python3-pip",
	aws: "awscli",
	"rabbitmq-server": "rabbitmq-server",
	"nats-server": "nats-server",
	"redis-server": "redis-server",
};
// Files that no command of their own shows.
const files = {
	"/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
	"/usr/include/stdlib.h": "libc6-dev",
};

const say = (line) => process.stderr.write(`setup: ${line}\n`);

class SetupError extends Error {}

function fail(message) {
	throw new SetupError(message);
}

function onPath(command) {
	const folders = `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`
		.split(":")
		.filter((folder) => folder !== "");
	return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

const isOnPath = (command) => onPath(command) !== undefined;

/** A version manager's shim is on the path even when no version behind it has the command: such a one is tried. */
function answers(command) {
	const path = onPath(command);
	return path !== undefined && (!path.includes("/shims/") || spawnSync(path, ["--version"]).status === 0);
}

function dockerAnswers() {
	return isOnPath("docker") && spawnSync("docker", ["info"], { timeout: 10_000 }).status === 0;
}

function missingPackages() {
	const missing = Object.entries(commands)
		.filter(([command]) => !answers(command))
		.map(([, name]) => name);
	for (const [file, name] of Object.entries(files)) if (!existsSync(file)) missing.push(name);
	// Images are built by a Docker engine where one answers, and by buildah otherwise.
	if (!isOnPath("buildah") && !dockerAnswers()) missing.push("buildah");
	// Debian keeps its programs outside of the path.
	if (!existsSync("/usr/lib/postgresql")) missing.push("postgresql");
	return missing;
}

function installPackages() {
	const missing = missingPackages();
	if (missing.length === 0) return;
	const byHand = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
	if (process.platform !== "linux" || !isOnPath("apt-get"))
		fail(`needs ${missing.join(", ")}: install them with this system's package manager (on Debian: ${byHand})`);
	if (process.getuid() !== 0) fail(`needs ${missing.join(", ")}: run this as root, or first: sudo sh -c '${byHand}'`);
	say(`installing ${missing.join(", ")} with apt-get`);
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	aptGet(["update"], env);
	aptGet(["install", "-y", "--no-install-recommends", ...missing], env);
	const still = missingPackages();
	if (still.length > 0) fail(`apt-get installed them, but ${still.join(", ")} is still not to be found on the PATH`);
}

function aptGet(words, env) {
	// 2 minutes: another apt (unattended upgrades) may hold the lock for a while on a machine that was just booted.
	const result = spawnSync("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", ...words], {
		env,
		encoding: "utf8",
		maxBuffer: 64 * 1024 * 1024,
	});
	if (result.status === 0) return;
	process.stderr.write(`${result.stdout}${result.stderr}`);
	fail(`apt-get ${words[0]} failed (above)`);
}

function modulesAreCurrent() {
	if (!existsSync(nodeBinary) || !existsSync(installedLock)) return false;
	return samePackages(installedLock, join(root, "package-lock.json"));
}

/** Compares versions, not times: a clone or a branch switch changes the times of files that stay the same. */
function samePackages(installed, wanted) {
	const read = (file) => JSON.parse(readFileSync(file, "utf8")).packages ?? {};
	const have = read(installed);
	return Object.entries(read(wanted)).every(([path, entry]) => {
		if (path === "" || entry.link || entry.optional || entry.peer) return true;
		return have[path]?.version === entry.version;
	});
}

function installModules() {
	if (modulesAreCurrent()) return;
	const unlock = lock(
		join(tmpdir(), `slipway-setup-${createHash("sha256").update(root).digest("hex").slice(0, 16)}.lock`),
	);
	try {
		if (modulesAreCurrent()) return;
		say("installing the npm packages (npm ci)");
		const result = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
			cwd: root,
			encoding: "utf8",
			maxBuffer: 64 * 1024 * 1024,
		});
		if (result.status !== 0) {
			process.stderr.write(`${result.stdout}${result.stderr}`);
			fail("npm ci failed (above)");
		}
		if (!existsSync(nodeBinary)) bringNode();
	} finally {
		unlock();
	}
}

/** An npm that does not run install scripts (npm 12, or ignore-scripts in its configuration) leaves the binary out. */
function bringNode() {
	say("npm left out the install script of the package 'node': running it");
	const folder = join(root, "node_modules", "node");
	const result = spawnSync(process.execPath, ["installArchSpecificPackage.js"], { cwd: folder, stdio: "inherit" });
	if (result.status !== 0 || !existsSync(nodeBinary)) fail("the package 'node' has no binary for this machine");
}

/** Two commands started at once in a fresh clone: the second waits, unless the first is gone without its farewell. */
function lock(path) {
	for (const until = Date.now() + 600_000; Date.now() < until; ) {
		try {
			writeFileSync(path, String(process.pid), { flag: "wx" });
			return () => rmSync(path, { force: true });
		} catch (error) {
			if (error.code !== "EEXIST") throw error;
			if (!isRunning(path)) rmSync(path, { force: true });
			else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
		}
	}
	return fail(`another setup has held ${path} for 10 minutes`);
}

function isRunning(path) {
	try {
		// Between its creation and its first byte the file names nobody: give its owner a moment.
		const pid = Number(readFileSync(path, "utf8"));
		return pid === 0 ? Date.now() - statSync(path).mtimeMs < 5_000 : existsSync(`/proc/${pid}`);
	} catch (error) {
		if (error.code === "ENOENT") return false;
		throw error;
	}
}

function run(file, words) {
	const child = spawn(nodeBinary, ["--disable-warning=ExperimentalWarning", resolve(root, file), ...words], {
		stdio: "inherit",
		cwd: process.cwd(),
	});
	// A terminal sends Ctrl-C to the whole group already; only signals to this process alone must be handed on.
	for (const name of ["SIGTERM", "SIGHUP", "SIGUSR2"]) process.on(name, () => child.kill(name));
	process.on("SIGINT", () => {
		if (!process.stdin.isTTY) child.kill("SIGINT");
	});
	child.on("error", (error) => {
		say(`${nodeBinary} could not be started: ${error.message}`);
		process.exit(1);
	});
	child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 1)));
}

const [option, file, ...words] = process.argv.slice(2);
try {
	if (option !== undefined && (option !== "--run" || file === undefined))
		fail("usage: setup.mjs [--run FILE ARGUMENTS…]");
	installPackages();
	installModules();
	if (file !== undefined) run(file, words);
} catch (error) {
	if (!(error instanceof SetupError)) throw error;
	say(error.message);
	process.exitCode = 1;
}
