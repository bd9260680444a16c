/** Newline-delimited JSON: one document a line, yielded as lines come. */
export async function* readLines<T>(response: Response): AsyncGenerator<T> {
	if (!response.body) return;
	let rest = "";
	for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
		const lines = (rest + text).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) if (line !== "") yield JSON.parse(line) as T;
	}
	if (rest !== "") yield JSON.parse(rest) as T;
}
