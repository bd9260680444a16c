// Whether payment and stock agree on every order of a run: node check.mjs PAYMENT STOCK RUN ORDERS, with what `slipway service curl`
// printed, what the ids begin with and how many there must be.
const [payment, stock, run, orders] = process.argv.slice(2);
const read = (records) =>
	new Map(
		JSON.parse(records)
			.filter(({ id }) => id.startsWith(run))
			.map(({ id, state }) => [id, state]),
	);

function problems(charges, reservations) {
	const ids = new Set([...charges.keys(), ...reservations.keys()]);
	return [...ids].filter((id) => (charges.get(id) === "charged") !== (reservations.get(id) === "reserved"));
}

const [charges, reservations] = [read(payment), read(stock)];
const wrong = problems(charges, reservations);
const confirmed = [...charges.values()].filter((state) => state === "charged").length;
console.log(
	`${charges.size} orders: ${confirmed} confirmed, ${charges.size - confirmed} cancelled, ${wrong.length} inconsistent`,
);
for (const id of wrong)
	console.log(`  ${id}: payment ${charges.get(id) ?? "nothing"}, stock ${reservations.get(id) ?? "nothing"}`);
process.exitCode = wrong.length > 0 || charges.size < Number(orders) ? 1 : 0;
