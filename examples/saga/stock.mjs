import { serveLedger } from "./ledger.mjs";

const pieces = Number(process.env.PIECES ?? 10);

serveLedger({
	name: "stock",
	done: "reserved",
	undone: "released",
	refusal({ quantity }, records) {
		const reserved = records
			.filter(({ state }) => state === "reserved")
			.reduce((sum, record) => sum + record.quantity, 0);
		return reserved + quantity > pieces ? `Only ${pieces - reserved} are left` : undefined;
	},
});
