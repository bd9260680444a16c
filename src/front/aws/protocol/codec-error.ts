/** A request that does not have the shape its operation's schema says. `where` is the member's path. */
export class CodecError extends Error {
	override readonly name = "CodecError";
	readonly where: string;

	constructor(where: string, why: string) {
		super(where === "" ? `The request ${why}` : `'${where.slice(0, 200)}' ${why}`);
		this.where = where;
	}
}
