/** Whether `tools/test.ts --long` runs: more seeds of simulations and comparisons than `npm test` has time for. */
export const longTests: boolean = process.env.SLIPWAY_LONG_TESTS === "1";
