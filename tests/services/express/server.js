// An Express application with what web applications do: JSON, cookies, redirects, events by SSE, and a chat by WebSocket.
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { WebSocketServer } from "ws";

const app = express();
app.set("trust proxy", true);
app.use(express.json({ limit: "20mb" }));

app.get("/", (request, response) => {
	const { protocol, hostname, ip } = request;
	response.json({ revision: process.env.K_REVISION, protocol, hostname, ip, forwarded: request.get("forwarded") });
});
app.post("/orders/:id", (request, response) => {
	response
		.cookie("seen", request.params.id)
		.cookie("second", "2")
		.status(201)
		.json({ id: request.params.id, order: request.body });
});
app.get("/old", (_request, response) => response.redirect(308, "/new?from=old"));
app.get("/broken", () => {
	throw new Error("told to break");
});
// A tick every 200 ms, from the id after Last-Event-ID on.
app.get("/events", async (request, response) => {
	response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
	response.flushHeaders();
	response.once("close", () => console.log(`events closed, finished ${response.writableFinished}`));
	let id = Number(request.get("last-event-id") ?? 0);
	while (!response.destroyed && id < 1000) {
		response.write(`id: ${++id}\nevent: tick\ndata: ${JSON.stringify({ id })}\n\n`);
		await sleep(200);
	}
});

const server = app.listen(process.env.PORT ?? 8080, () => console.log("listening"));

const sockets = new WebSocketServer({
	server,
	path: "/chat",
	handleProtocols: (offered) => (offered.has("chat.v1") ? "chat.v1" : false),
});
sockets.on("connection", (socket, request) => {
	socket.send(JSON.stringify({ hello: request.headers.host, user: request.headers["x-user"] ?? null }));
	socket.on("message", (data, isBinary) => {
		if (!isBinary && data.toString() === "bye") return socket.close(4001, "you said bye");
		socket.send(data, { binary: isBinary });
	});
	socket.on("close", (code) => console.log(`socket closed ${code}`));
});

process.once("SIGTERM", () => {
	console.log("SIGTERM");
	for (const socket of sockets.clients) socket.close(1001, "going away");
	server.close(() => process.exit(0));
	server.closeIdleConnections();
});
