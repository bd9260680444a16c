import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { FakeProgram } from "./fake-sandbox-runtime.ts";

/**
 * What the contract suite runs in a sandbox, said twice: as a script for `/bin/sh -c` (busybox will do), and as a function
 * for the fake. Both are reached by the same name.
 */
export const contractPrograms = {
	/** One line each: first argument after the script, a variable, the endpoint's variable, folder, user and group. */
	describe: {
		shell: 'printf "%s\\n" "$1" "$GREETING" "$ENDPOINT" "$(pwd)" "$(id -u):$(id -g)"; echo problem >&2',
		fake: async ({ args, env, cwd, user, stdout, stderr }) => {
			stdout.write(`${[args[1], env.GREETING, env.ENDPOINT, cwd, `${user.uid}:${user.gid}`].join("\n")}\n`);
			stderr.write("problem\n");
			return 0;
		},
	},
	fail: { shell: "exit 42", fake: async () => 42 },
	sleep: {
		shell: "sleep 600",
		fake: async ({ ended }) => {
			while (!ended.aborted) await sleep(5);
			return 0;
		},
	},
	/** Ends by itself, with 7, when it is asked to. */
	polite: {
		shell: 'trap "echo stopping; exit 7" TERM; echo ready; while true; do sleep 0.02; done',
		fake: async ({ stdout, signal }) => {
			stdout.write("ready\n");
			while (!signal.aborted) await sleep(5);
			stdout.write("stopping\n");
			return 7;
		},
	},
	/** A number a line, for ever. */
	count: {
		shell: "i=0; while true; do echo $i; i=$((i+1)); sleep 0.005; done",
		fake: async ({ stdout, signal, whenThawed }) => {
			for (let i = 0; !signal.aborted; i++) {
				await whenThawed();
				stdout.write(`${i}\n`);
				await sleep(5);
			}
			return 0;
		},
	},
	/** Says its id to the endpoint and prints what it hears. */
	talk: {
		// biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
		shell: 'echo "I am $1" | nc ${ENDPOINT%:*} ${ENDPOINT#*:}',
		fake: async ({ args, endpoint, stdout }) => {
			const [host, port] = endpoint!.split(":");
			const socket = connect(Number(port), host);
			socket.end(`I am ${args[1]}\n`);
			for await (const chunk of socket) stdout.write(chunk);
			return 0;
		},
	},
	/** Adds its argument to a file of /tmp, and prints what the file then holds. */
	remember: {
		shell: 'printf "%s " "$1" >> /tmp/memory; cat /tmp/memory',
		fake: async ({ args, tmp, stdout }) => {
			const memory = `${tmp.get("memory") ?? ""}${args[1]} `;
			tmp.set("memory", memory);
			stdout.write(memory);
			return 0;
		},
	},
	/** Answers one connection to port 8080 with what it was told. */
	serve: {
		shell: "echo ready; nc -l -p 8080 -e cat",
		fake: async ({ listen, stdout, ended }) => {
			await listen(8080, (socket) => socket.pipe(socket));
			stdout.write("ready\n");
			while (!ended.aborted) await sleep(5);
			return 0;
		},
	},
	/** Prints what the address in its two arguments says, as soon as somebody listens there. */
	hear: {
		shell: 'until nc "$1" "$2" < /dev/null 2> /dev/null; do sleep 0.02; done',
		fake: async ({ args, connect, stdout, ended }) => {
			while (!ended.aborted) {
				const socket = await connect(args[1] ?? "", Number(args[2])).catch(() => undefined);
				if (!socket) {
					await sleep(5);
					continue;
				}
				socket.end();
				for await (const chunk of socket) stdout.write(chunk);
				return 0;
			}
			return 1;
		},
	},
	/** Says its argument to one connection to port 8081. */
	greet: {
		shell: 'export GREETING="$1"; echo ready; nc -l -p 8081 -e sh -c \'echo "$GREETING"\'',
		fake: async ({ args, listen, stdout, ended }) => {
			const greeted = new Promise<void>((resolve) => {
				const greet = (socket: Socket) => void socket.end(`${args[1]}\n`).once("close", resolve);
				void listen(8081, greet).then(() => stdout.write("ready\n"));
				ended.addEventListener("abort", () => resolve());
			});
			await greeted;
			return 0;
		},
	},
	/** More memory than any limit of the suite. */
	balloon: {
		shell: "exec tail -n 1 /dev/zero",
		fake: async ({ useMemory }) => {
			useMemory(1 << 30);
			return 0;
		},
	},
	/** Writes without end. */
	flood: {
		shell: "exec yes 0123456789012345678901234567890123456789012345678901234567890123456789",
		fake: async ({ stdout, ended }) => {
			while (!ended.aborted) {
				const hasRoom = stdout.write("0123456789".repeat(1_000));
				await (hasRoom ? new Promise((resolve) => setImmediate(resolve)) : sleep(5));
			}
			return 0;
		},
	},
} satisfies Record<string, { shell: string; fake: FakeProgram }>;

export type ContractProgramName = keyof typeof contractPrograms;

/** A fake's program that runs the contract's by the name in `args[0]`. */
export const contractFakeProgram: FakeProgram = (process) => {
	const program = contractPrograms[process.args[0] as ContractProgramName];
	return program.fake(process);
};
