/** Programs of examples that are built outside of their images, when they have changed. */
import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findGo } from "./go.ts";
import { run } from "./run.ts";

/** `PROGRAM` of `PROGRAM.c`, without a C library. */
export async function compileStatic(folder: string, program: string): Promise<void> {
	const flags = "-Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns -s";
	const words = [...flags.split(" "), "-Wl,--build-id=none", "-o", program, `${program}.c`];
	await unlessCurrent(folder, [`${program}.c`], program, words.join(" "), () => run("gcc", words, { cwd: folder }));
}

/** `main` of the module in the folder. */
export async function compileGo(folder: string): Promise<void> {
	const words = [
		"build",
		"-trimpath",
		"-buildvcs=false",
		"-tags",
		"lambda.norpc",
		"-ldflags",
		"-s -w",
		"-o",
		"main",
		".",
	];
	const env = { ...process.env, CGO_ENABLED: "0" };
	const sources = (await readdir(folder)).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name)).sort();
	await unlessCurrent(folder, sources, "main", words.join(" "), async () =>
		run(await findGo(), words, { cwd: folder, env }),
	);
}

/** Builds `target` when the sources or the command changed since; a note beside it, not under version control, says so. */
async function unlessCurrent(
	folder: string,
	sources: string[],
	target: string,
	command: string,
	build: () => Promise<unknown>,
): Promise<void> {
	const hash = createHash("sha256").update(`${command}\n${process.arch}\n`);
	for (const source of sources) hash.update(await readFile(join(folder, source)));
	const digest = hash.digest("hex");
	const note = join(folder, `.${target}.sha256`);
	const built = await stat(join(folder, target)).catch(() => undefined);
	if (built && (await readFile(note, "utf8").catch(() => "")) === digest) return;
	await build();
	await writeFile(note, digest);
}
