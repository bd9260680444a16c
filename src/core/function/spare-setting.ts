/**
 * What a function's owner wants kept ready for it while it is in use: sandboxes that are made but run nothing yet, and
 * sandboxes whose init has run ahead of any event. A number is how many; "auto" leaves it to what its past events say.
 */
export interface SpareSetting {
	created: number | "auto";
	initialized: number | "auto";
}

export const automaticSpares: SpareSetting = { created: "auto", initialized: "auto" };

/** Of either kind, for one version; the installation's own limits may be lower. */
export const maxSparesPerFunction = 100;
