import type { Failure } from "../../core/invocation/function-contract.ts";
import { apiErrors } from "./api-http.ts";

/** `errorType` of a failure, as it stands in platform-made payloads and, but for a timeout's, in REPORT lines (lambda-contract 1.8, 3.4). */
export function failureType(failure: Failure): string {
	switch (failure.kind) {
		case "timeout":
			return "Sandbox.Timedout";
		case "exit":
			return failure.oomKilled ? "Runtime.OutOfMemory" : "Runtime.ExitError";
		case "runtime":
		case "companion":
			return failure.errorType;
		case "response-too-large":
			return "Function.ResponseSizeTooLarge";
		case "invalid-entrypoint":
			return "Runtime.InvalidEntrypoint";
		case "invalid-working-dir":
			return "Runtime.InvalidWorkingDir";
	}
}

/** The payload that a caller gets (lambda-contract 3.6); platform-made ones have errorType first. */
export function failurePayload(failure: Failure, requestId: string): Uint8Array {
	const made = (message: string) => platformPayload(failureType(failure), requestId, message);
	switch (failure.kind) {
		case "runtime":
			return failure.payload;
		case "timeout":
			return made(`Task timed out after ${failure.timeoutS.toFixed(2)} seconds`);
		case "exit":
			return made(exitMessage(failure));
		case "response-too-large":
			return json({ errorMessage: apiErrors.tooLarge.callerMessage, errorType: failureType(failure) });
		case "invalid-entrypoint":
		case "invalid-working-dir":
		case "companion":
			return made(failure.message);
	}
}

function platformPayload(errorType: string, requestId: string, message: string): Uint8Array {
	return json({ errorType, errorMessage: `RequestId: ${requestId} Error: ${message}` });
}

function json(value: unknown): Uint8Array {
	return Buffer.from(JSON.stringify(value));
}

/** Go's words for how a process ended, which AWS's messages carry. */
function exitMessage(failure: { code: number | undefined; signal: string | undefined; oomKilled: boolean }): string {
	if (failure.signal !== undefined || failure.oomKilled)
		return `Runtime exited with error: signal: ${signalWords[failure.signal ?? "SIGKILL"] ?? failure.signal}`;
	if (failure.code === 0) return "Runtime exited without providing a reason";
	return `Runtime exited with error: exit status ${failure.code}`;
}

/** Go's syscall package, zerrors_linux_amd64.go, for the signals that end processes. */
const signalWords: Record<string, string> = {
	SIGHUP: "hangup",
	SIGINT: "interrupt",
	SIGQUIT: "quit",
	SIGILL: "illegal instruction",
	SIGTRAP: "trace/breakpoint trap",
	SIGABRT: "aborted",
	SIGBUS: "bus error",
	SIGFPE: "floating point exception",
	SIGKILL: "killed",
	SIGUSR1: "user defined signal 1",
	SIGSEGV: "segmentation fault",
	SIGUSR2: "user defined signal 2",
	SIGPIPE: "broken pipe",
	SIGALRM: "alarm clock",
	SIGTERM: "terminated",
	SIGSYS: "bad system call",
	SIGXCPU: "CPU time limit exceeded",
	SIGXFSZ: "file size limit exceeded",
};
