/** Names as Kubernetes checks them (apimachinery/pkg/util/validation); each returns what is wrong, in its words, or undefined. */

const maxLabelLength = 63;
const maxSubdomainLength = 253;

const dns1123Label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dns1035Label = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const dns1123Subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedNamePart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const environmentName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;

export function dns1123LabelProblem(text: string): string | undefined {
	if (text.length > maxLabelLength) return `must be no more than ${maxLabelLength} characters`;
	if (dns1123Label.test(text)) return undefined;
	return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name', or '123-abc')";
}

export function dns1035LabelProblem(text: string): string | undefined {
	if (text.length > maxLabelLength) return `must be no more than ${maxLabelLength} characters`;
	if (dns1035Label.test(text)) return undefined;
	return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name', or 'abc-123')";
}

export function dns1123SubdomainProblem(text: string): string | undefined {
	if (text.length > maxSubdomainLength) return `must be no more than ${maxSubdomainLength} characters`;
	if (dns1123Subdomain.test(text)) return undefined;
	return `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${dns1123Subdomain.source.slice(1, -1)}')`;
}

/** A label's or annotation's key: `[prefix/]name`. */
export function qualifiedNameProblem(text: string): string | undefined {
	const slash = text.indexOf("/");
	const prefix = slash < 0 ? undefined : text.slice(0, slash);
	const name = text.slice(slash + 1);
	if (name.includes("/"))
		return "a qualified name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
	if (prefix !== undefined) {
		const problem = prefix === "" ? "must be non-empty" : dns1123SubdomainProblem(prefix.toLowerCase());
		if (problem) return `prefix part ${problem}`;
	}
	if (name === "") return "name part must be non-empty";
	if (name.length > maxLabelLength) return `name part must be no more than ${maxLabelLength} characters`;
	if (qualifiedNamePart.test(name)) return undefined;
	return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName', or 'my.name', or '123-abc')";
}

export function labelValueProblem(text: string): string | undefined {
	if (text.length > maxLabelLength) return `must be no more than ${maxLabelLength} characters`;
	if (labelValue.test(text)) return undefined;
	return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue', or 'my_value', or '12345')";
}

export function environmentNameProblem(text: string): string | undefined {
	if (environmentName.test(text)) return undefined;
	return "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name', or 'MY_ENV.NAME')";
}
