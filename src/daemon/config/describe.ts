/** Prints the settings as JSON, for `slipway help config`. */
import { variables } from "./env.ts";
import { tracingVariables } from "./tracing.ts";

const rows = Object.entries({ ...variables, ...tracingVariables }).map(([name, { description, default: value }]) => ({
	name,
	description,
	default: value,
}));
process.stdout.write(JSON.stringify(rows));
