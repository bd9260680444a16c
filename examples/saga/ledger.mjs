// What payment and stock have alike: one record an order, on the disk before it is answered, and each step safe to be asked for twice.
//   PUT /ID     does the step, or finds it done; 409 when it was undone (a request that is late) or refused
//   DELETE /ID  undoes it; of a step that was never done it keeps a record, so that a late PUT does nothing
//   GET /       all records
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";

const folder = process.env.DATA ?? "/data";
const fileOf = (id) => `${folder}/${encodeURIComponent(id)}.json`;

function all() {
	const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
	return names.map((name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8")));
}

const find = (id) => all().find((record) => record.id === id);

/** Whole or not at all, whenever the process is killed. */
function save(record) {
	writeFileSync(`${fileOf(record.id)}.new`, JSON.stringify(record), { flush: true });
	renameSync(`${fileOf(record.id)}.new`, fileOf(record.id));
	return record;
}

/** `done` and `undone` are names of states; `refusal` says why a step can't be done, knowing all records. */
export function serveLedger({ name, done, undone, refusal }) {
	mkdirSync(folder, { recursive: true });
	const server = createServer(async (request, response) => {
		const answer = (status, body) =>
			response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
		const id = decodeURIComponent(request.url.slice(1));
		if (request.method === "GET") return answer(200, all());
		const before = id === "" ? undefined : find(id);
		if (request.method === "DELETE") return answer(200, save({ ...before, id, state: undone }));
		if (request.method !== "PUT" || id === "") return answer(405, { error: "PUT or DELETE /ID" });
		if (before) return answer(before.state === done ? 200 : 409, { ...before, error: `The order was ${before.state}` });
		const { crash, ...input } = await json(request);
		// Between the check and the record nothing else runs: all of it is one turn.
		const error = refusal(input, all());
		if (error) return answer(409, { error });
		if (crash === `before ${name}`) process.kill(process.pid, "SIGKILL");
		const record = save({ ...input, id, state: done });
		if (crash === `after ${name}`) process.kill(process.pid, "SIGKILL");
		answer(201, record);
	});
	server.listen(Number(process.env.PORT ?? 8080));
	process.once("SIGTERM", () => server.close(() => process.exit()));
}
