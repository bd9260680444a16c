/** What the kernel takes for one argument or variable (MAX_ARG_STRLEN): past it a reference is left as it is. */
const maxExpanded = 128 * 1024;

/**
 * Kubernetes' `$(NAME)` in environment values, commands and arguments (third_party/forked/golang/expansion): a name that is not
 * known stays as it was written, `$$` is a dollar sign that expands nothing.
 */
export function expandReferences(text: string, known: ReadonlyMap<string, string>): string {
	let length = text.length;
	return text.replace(/\$\$|\$\(([^)]*)\)/g, (match, name: string | undefined) => {
		if (match === "$$") return "$";
		const value = name === undefined ? undefined : known.get(name);
		if (value === undefined || length + value.length > maxExpanded) return match;
		length += value.length;
		return value;
	});
}
