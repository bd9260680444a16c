import { SlipwayError } from "../../base/error.ts";

/**
 * A CloudEvent 1.0 in its JSON form: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md. `data` or
 * `data_base64` or neither; all other members are attributes. One that `checkCloudEvent` has returned is valid.
 */
export interface CloudEvent {
	specversion: "1.0";
	id: string;
	/** URI reference. */
	source: string;
	type: string;
	datacontenttype?: string;
	/** URI. */
	dataschema?: string;
	subject?: string;
	/** RFC 3339. */
	time?: string;
	data?: unknown;
	data_base64?: string;
	/** Extension attributes. */
	[name: string]: unknown;
}

/** Of extensions too; a request has room for no more headers anyway. */
const maxAttributes = 100;
const maxNameLength = 64;

export function invalidEvent(why: string): SlipwayError {
	return new SlipwayError("INVALID", `Not a CloudEvent: ${why}`, { reason: "InvalidCloudEvent" });
}

/** INVALID, reason "InvalidCloudEvent", with what is wrong. Members that are null are left out, as the format wants it. */
export function checkCloudEvent(value: unknown): CloudEvent {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw invalidEvent("it is not a JSON object");
	const members = Object.entries(value).filter(
		([name, member]) => (member !== null && member !== undefined) || name === "data",
	);
	if (members.length > maxAttributes) throw invalidEvent(`it has more than ${maxAttributes} attributes`);
	const event: Record<string, unknown> = Object.fromEntries(members);
	if (event.specversion !== "1.0") throw invalidEvent('specversion is not "1.0"');
	for (const [name, member] of members) checkMember(name, member);
	for (const name of ["id", "source", "type"]) if (event[name] === undefined) throw invalidEvent(`${name} is missing`);
	if (event.data !== undefined && event.data_base64 !== undefined)
		throw invalidEvent("it has both data and data_base64");
	return event as CloudEvent;
}

type Check = (text: string) => boolean;

const uriReference: Check = (text) => /^[!#-;=?-Z_a-z~[\]\u00A0-\uFFFF]+$/.test(text);
const mediaType: Check = (text) => /^[\w!#$&^.+-]+\/[\w!#$&^.+*-]+(\s*;.*)?$/.test(text);
const uri: Check = (text) => uriReference(text) && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text);
const base64: Check = (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;
const timestamp: Check = (text) => rfc3339.test(text) && !Number.isNaN(Date.parse(text));
const anything: Check = () => true;

const known: Readonly<Record<string, { what: string; check: Check }>> = {
	id: { what: "a string", check: anything },
	source: { what: "a URI reference", check: uriReference },
	type: { what: "a string", check: anything },
	subject: { what: "a string", check: anything },
	time: { what: "a time of RFC 3339", check: timestamp },
	dataschema: { what: "an absolute URI", check: uri },
	datacontenttype: { what: "a media type", check: mediaType },
};

function checkMember(name: string, member: unknown): void {
	if (name === "data" || name === "specversion") return;
	if (name === "data_base64") {
		if (typeof member !== "string" || !base64(member)) throw invalidEvent("data_base64 is not Base64");
		return;
	}
	if (!/^[a-z0-9]+$/.test(name) || name.length > maxNameLength)
		throw invalidEvent(
			`'${name.slice(0, maxNameLength)}' is not an attribute's name: lower-case letters and digits only`,
		);
	if (typeof member === "string") checkText(name, member);
	const rule = Object.hasOwn(known, name) ? known[name] : undefined;
	if (rule) {
		if (typeof member !== "string" || member === "" || !rule.check(member))
			throw invalidEvent(`${name} is not ${rule.what}`);
	} else if (!isExtensionValue(member))
		throw invalidEvent(`${name} is neither a string, a boolean nor a 32 bit integer`);
}

function isExtensionValue(member: unknown): boolean {
	if (typeof member === "number") return member === Math.trunc(member) && Math.abs(member) <= 2 ** 31;
	return typeof member === "string" || typeof member === "boolean";
}

/** Type system: no control characters, no half surrogates, no noncharacters. */
function checkText(name: string, text: string): void {
	if (/[\u0000-\u001F\u007F-\u009F\uFDD0-\uFDEF\uFFFE\uFFFF]/.test(text) || !text.isWellFormed())
		throw invalidEvent(`${name} has characters that no attribute may have`);
}

/** Of application/json, text/json and whatever ends in +json. Without a type the data is JSON. */
export function isJson(contentType: string | undefined): boolean {
	if (contentType === undefined) return true;
	const essence = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
	return essence.endsWith("/json") || essence.endsWith("+json");
}
