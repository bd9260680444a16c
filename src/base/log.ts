/** The daemon's own log: one JSON object a line on standard error. Not the functions' logs (core/log). */
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Log {
	debug(message: string, fields?: Record<string, unknown>): void;
	info(message: string, fields?: Record<string, unknown>): void;
	warn(message: string, fields?: Record<string, unknown>): void;
	error(message: string, fields?: Record<string, unknown>): void;
}

const levels: LogLevel[] = ["debug", "info", "warn", "error"];

export function jsonLog(write: (line: string) => void, minimum: LogLevel = "info"): Log {
	const at = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) => {
		if (levels.indexOf(level) < levels.indexOf(minimum)) return;
		write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }, serializeError)}\n`);
	};
	return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function serializeError(_key: string, value: unknown): unknown {
	if (typeof value === "bigint") return value.toString();
	if (!(value instanceof Error)) return value;
	return {
		name: value.name,
		message: value.message,
		stack: value.stack,
		...(value.cause ? { cause: value.cause } : {}),
	};
}
