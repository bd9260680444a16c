// An order: payment, then stock. What can't go on is undone, the newest step first. The function may be killed at any line: the
// queue brings the order again, and each step finds what is done.
import { makeIdempotentBatch } from "./idempotency.ts";

const steps = [
	{ name: "payment", url: process.env.PAYMENT_URL ?? "http://payment.internal" },
	{ name: "stock", url: process.env.STOCK_URL ?? "http://stock.internal" },
];

export const handler = makeIdempotentBatch(
	async (record) => {
		const order = JSON.parse(record.body);
		const isFirst = record.attributes.ApproximateReceiveCount === "1";
		return await place(order, isFirst ? order.crash : undefined);
	},
	{
		key: ({ body }) => `order ${JSON.parse(body).id}`,
		...(process.env.IDEMPOTENCY_URL && { url: process.env.IDEMPOTENCY_URL }),
	},
);

async function place({ id, amount, quantity }, crash) {
	const at = (point) => point === crash && process.kill(process.pid, "SIGKILL");
	for (const [index, { name, url }] of steps.entries()) {
		at(`order before ${name}`);
		const refused = await call("PUT", url, id, { amount, quantity, crash });
		at(`order after ${name}`);
		if (!refused) continue;
		for (const step of steps.slice(0, index + 1).reverse()) {
			at(`order before undoing ${step.name}`);
			await call("DELETE", step.url, id);
		}
		at("order undone");
		return { id, status: "cancelled", reason: refused };
	}
	return { id, status: "confirmed" };
}

/** Why it was refused; undefined when it is done. Throws when that is not known: then the order comes again. */
async function call(method, url, id, body) {
	const response = await fetch(`${url}/${encodeURIComponent(id)}`, {
		method,
		...(body && { body: JSON.stringify(body) }),
	});
	const answer = await response.json();
	if (response.status === 409) return answer.error;
	if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}`);
	return undefined;
}
