/** Prints the settings as JSON, for `slipway help config`. */
import { variables } from "./env.ts";

const rows = Object.entries(variables).map(([name, { description, default: value }]) => ({
	name,
	description,
	default: value,
}));
process.stdout.write(JSON.stringify(rows));
