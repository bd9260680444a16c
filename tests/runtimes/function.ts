/** A function in a running daemon as a runtime client's test sees it. */
import {
	type CreateFunctionCommandInput,
	InvokeCommand,
	type InvokeCommandInput,
	InvokeWithResponseStreamCommand,
	type InvokeWithResponseStreamResponseEvent,
} from "@aws-sdk/client-lambda";
import type { FunctionClient } from "../e2e/function-client.ts";

export interface Answer {
	id: string;
	error: string | undefined;
	/** As it came. */
	text: string;
	/** The last 4 KB of the invocation's log. */
	log: string;
	/** From the request to the response's end. */
	ms: number;
}

export interface StreamedAnswer {
	text: string;
	/** Milliseconds from the request to each chunk. */
	arrivals: number[];
	errorCode: string | undefined;
	errorDetails: string | undefined;
}

export interface Caller {
	clientContext?: unknown;
	traceId?: string;
}

export class TestFunction {
	readonly name: string;
	readonly #client: FunctionClient;

	private constructor(client: FunctionClient, name: string) {
		this.#client = client;
		this.name = name;
	}

	static async create(
		client: FunctionClient,
		name: string,
		imageUri: string,
		change: Partial<CreateFunctionCommandInput> = {},
	): Promise<TestFunction> {
		await client.createActive(name, imageUri, change);
		return new TestFunction(client, name);
	}

	/** Waits first until the last event's process polls again: some take a moment, and a second process would take this. */
	async invoke(event: unknown, caller: Caller = {}): Promise<Answer> {
		await this.#client.idle();
		const input: InvokeCommandInput = {
			FunctionName: this.name,
			Payload: Buffer.from(JSON.stringify(event)),
			LogType: "Tail",
		};
		if (caller.clientContext !== undefined)
			input.ClientContext = Buffer.from(JSON.stringify(caller.clientContext)).toString("base64");
		const command = new InvokeCommand(input);
		const { traceId } = caller;
		if (traceId !== undefined)
			command.middlewareStack.add(
				(next) => (args) => {
					(args.request as { headers: Record<string, string> }).headers["x-amzn-trace-id"] = traceId;
					return next(args);
				},
				{ step: "build" },
			);
		const started = performance.now();
		const answer = await this.#client.lambda.send(command);
		return {
			id: answer.$metadata.requestId ?? "",
			error: answer.FunctionError,
			text: Buffer.from(answer.Payload ?? []).toString(),
			log: Buffer.from(answer.LogResult ?? "", "base64").toString(),
			ms: performance.now() - started,
		};
	}

	async stream(event: unknown): Promise<StreamedAnswer> {
		await this.#client.idle();
		const Payload = Buffer.from(JSON.stringify(event));
		const started = performance.now();
		const answer = await this.#client.lambda.send(
			new InvokeWithResponseStreamCommand({ FunctionName: this.name, Payload }),
		);
		const result: StreamedAnswer = { text: "", arrivals: [], errorCode: undefined, errorDetails: undefined };
		const parts: Uint8Array[] = [];
		for await (const part of (answer.EventStream ?? []) as AsyncIterable<InvokeWithResponseStreamResponseEvent>) {
			if (part.PayloadChunk?.Payload !== undefined) {
				parts.push(part.PayloadChunk.Payload);
				result.arrivals.push(performance.now() - started);
			}
			if (part.InvokeComplete !== undefined) {
				result.errorCode = part.InvokeComplete.ErrorCode;
				result.errorDetails = part.InvokeComplete.ErrorDetails;
			}
		}
		result.text = Buffer.concat(parts).toString();
		return result;
	}
}
