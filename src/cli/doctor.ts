import { type DoctorLine, doctorLines } from "./daemon-process.ts";
import { paint } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "doctor [--fix] [--json]",
	summary: "Check that this machine can run functions, with a real container",
	details: "The exit code is 1 when something is missing that functions need; warnings do not count.",
	positionals: [0, 0],
	options: {
		fix: { type: "boolean", description: "Install what is missing (root, on Debian and Ubuntu)" },
		...jsonOption,
	},
	examples: [
		["sudo slipway doctor", ""],
		["sudo slipway doctor --fix", "install what is missing"],
	],
	run: doctor,
};

async function doctor({ context, values }: Call): Promise<number> {
	const lines: DoctorLine[] = [];
	const styles = { ok: "green", warn: "yellow", fail: "red" } as const;
	const env = { ...context.env, SLIPWAY_HOME: context.home };
	for await (const line of doctorLines(env, { fix: values.fix === true })) {
		lines.push(line);
		if (values.json) continue;
		context.print(
			`${paint(context.color, styles[line.status], line.status.padEnd(4))}  ${line.name.padEnd(14)}  ${line.detail}`,
		);
		if (line.fix) context.print(`${" ".repeat(22)}${paint(context.color, "cyan", line.fix)}`);
	}
	const failed = lines.some(({ status }) => status === "fail");
	if (values.json) context.printJson({ ok: !failed, findings: lines });
	return failed ? exitCodes.failed : exitCodes.ok;
}
