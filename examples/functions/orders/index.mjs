/** Ships the orders of a queue: one that fails goes back to the queue, the others are done. */
export async function handler({ Records }) {
	const batchItemFailures = [];
	for (const { messageId, body } of Records) {
		try {
			ship(JSON.parse(body));
		} catch (error) {
			console.error(`${messageId}: ${error.message}`);
			batchItemFailures.push({ itemIdentifier: messageId });
		}
	}
	return { batchItemFailures };
}

/** WAREHOUSE=closed is the bug that the README has you fix. */
function ship({ order }) {
	if (process.env.WAREHOUSE === "closed") throw new Error(`order ${order}: the warehouse is closed`);
	console.log(`order ${order} is on its way`);
}
