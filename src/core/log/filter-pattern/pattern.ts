/** A filter pattern that was understood. */
export interface FilterPattern {
	/** Never throws. */
	matches(message: string): boolean;
	/** What the pattern's fields and selectors are in a message that it matches, by their names in the pattern. */
	extract(message: string): Record<string, string>;
}
