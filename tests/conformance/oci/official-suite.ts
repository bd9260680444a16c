import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startRegistry } from "./registry-under-test.ts";
import type { Report } from "./result.ts";

/** The suite takes a few seconds; past this it hangs. */
const timeoutMs = 5 * 60_000;

/** Runs one build of the suite with every category switched on, and reports the cases of the JUnit file that it writes. */
export async function officialSuite(program: string, report: Report): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-conformance-"));
	try {
		await using registry = await startRegistry();
		const { host, username, password } = registry;
		const code = await runProgram(resolve(program), folder, environment(host, username, password, folder));
		const cases = parseCases(await readFile(join(folder, "junit.xml"), "utf8"));
		for (const one of cases) report(one);
		const failed = cases.some((one) => one.status === "failed");
		if (code !== 0 && !failed) report({ name: program, status: "failed", detail: `It ended with exit code ${code}` });
		if (registry.errors.length > 0)
			report({ name: "no request fails inside", status: "failed", detail: JSON.stringify(registry.errors) });
	} catch (error) {
		report({ name: program, status: "failed", detail: String(error) });
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

/** Of the suite on the main branch, and of version 1.1.1 (its conformance/README.md each); neither minds the other's. */
function environment(host: string, username: string, password: string, folder: string): Record<string, string> {
	return {
		OCI_REGISTRY: host,
		OCI_TLS: "disabled",
		OCI_REPO1: "conformance/one",
		OCI_REPO2: "conformance/two",
		OCI_USERNAME: username,
		OCI_PASSWORD: password,
		OCI_RESULTS_DIR: folder,
		// What the specification leaves to the registry, and we do.
		OCI_API_BLOBS_DIGEST_HEADER: "true",
		OCI_API_BLOBS_UPLOAD_CANCEL: "true",
		OCI_API_MANIFESTS_DIGEST_HEADER: "true",
		OCI_API_MANIFESTS_TAG_PARAM: "true",
		OCI_ROOT_URL: `http://${host}`,
		OCI_NAMESPACE: "conformance/one",
		OCI_CROSSMOUNT_NAMESPACE: "conformance/two",
		OCI_TEST_PULL: "1",
		OCI_TEST_PUSH: "1",
		OCI_TEST_CONTENT_DISCOVERY: "1",
		OCI_TEST_CONTENT_MANAGEMENT: "1",
		OCI_AUTOMATIC_CROSSMOUNT: "1",
		OCI_DELETE_MANIFEST_BEFORE_BLOBS: "1",
		OCI_HIDE_SKIPPED_WORKFLOWS: "0",
		OCI_REPORT_DIR: folder,
	};
}

function runProgram(program: string, folder: string, env: Record<string, string>): Promise<number | null> {
	const child = spawn(program, [], {
		cwd: folder,
		env: { PATH: process.env.PATH ?? "", HOME: folder, ...env },
		stdio: "ignore",
		timeout: timeoutMs,
	});
	return new Promise((done, reject) => child.once("error", reject).once("close", done));
}

function parseCases(junit: string): Parameters<Report>[0][] {
	const cases = [...junit.matchAll(/<testcase name="([^"]*)"[^>]*? status="([^"]*)"/g)];
	if (cases.length === 0) throw new Error("The suite's report holds no test cases");
	return cases.map(([, name = "", status = ""]) => ({ name: decodeXml(name), status: toStatus(status) }));
}

function toStatus(status: string): "passed" | "failed" | "skipped" {
	if (/^pass/i.test(status)) return "passed";
	return /^(skip|disabled)/i.test(status) ? "skipped" : "failed";
}

function decodeXml(text: string): string {
	return text.replaceAll("&#34;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
