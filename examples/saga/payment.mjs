import { serveLedger } from "./ledger.mjs";

const limit = 1000;

serveLedger({
	name: "payment",
	done: "charged",
	undone: "refunded",
	refusal: ({ amount }) => (amount > limit ? `The card has no more than ${limit}` : undefined),
});
