/** Resource policies as IAM writes them: the document that GetPolicy shows, and what it allows. */
import type { PolicyStatement } from "../../core/function/function.ts";

/** What is asked of a policy. */
export interface PolicyRequest {
	/** "lambda:InvokeFunctionUrl". */
	action: string;
	/** "*" for a caller without a name; a 12-digit account, an IAM ARN, or a service ("s3.amazonaws.com"). */
	principal: string;
	sourceArn?: string;
	sourceAccount?: string;
	principalOrgId?: string;
	eventSourceToken?: string;
	functionUrlAuthType?: "NONE" | "AWS_IAM";
	invokedViaFunctionUrl?: boolean;
}

export interface PolicyDocument {
	Version: "2012-10-17";
	Id: "default";
	Statement: StatementDocument[];
}

export interface StatementDocument {
	Sid: string;
	Effect: "Allow";
	Principal: "*" | { Service: string } | { AWS: string };
	Action: string;
	Resource: string;
	Condition?: Record<string, Record<string, string>>;
}

export function policyDocument(statements: readonly PolicyStatement[], resourceArn: string): PolicyDocument {
	const all = statements.map((statement) => statementDocument(statement, resourceArn));
	return { Version: "2012-10-17", Id: "default", Statement: all };
}

/** API_AddPermission's parameters and the conditions they become, spelled as the cloud does. */
export function statementDocument(statement: PolicyStatement, resourceArn: string): StatementDocument {
	const { sid, action, principal } = statement;
	const conditions = conditionsOf(statement);
	return {
		Sid: sid,
		Effect: "Allow",
		Principal: principalElement(principal),
		Action: action,
		Resource: resourceArn,
		...(Object.keys(conditions).length > 0 ? { Condition: conditions } : {}),
	};
}

function conditionsOf(statement: PolicyStatement): Record<string, Record<string, string>> {
	const equals: Record<string, string> = {};
	if (statement.functionUrlAuthType !== undefined) equals["lambda:FunctionUrlAuthType"] = statement.functionUrlAuthType;
	if (statement.principalOrgId !== undefined) equals["aws:PrincipalOrgID"] = statement.principalOrgId;
	if (statement.sourceAccount !== undefined) equals["AWS:SourceAccount"] = statement.sourceAccount;
	if (statement.eventSourceToken !== undefined) equals["lambda:EventSourceToken"] = statement.eventSourceToken;
	const { sourceArn, invokedViaFunctionUrl } = statement;
	return {
		...(Object.keys(equals).length > 0 ? { StringEquals: equals } : {}),
		...(invokedViaFunctionUrl === undefined
			? {}
			: { Bool: { "lambda:InvokedViaFunctionUrl": String(invokedViaFunctionUrl) } }),
		...(sourceArn === undefined ? {} : { ArnLike: { "AWS:SourceArn": sourceArn } }),
	};
}

function principalElement(principal: string): StatementDocument["Principal"] {
	if (principal === "*") return "*";
	if (isAccount(principal)) return { AWS: `arn:aws:iam::${principal}:root` };
	return principal.startsWith("arn:") ? { AWS: principal } : { Service: principal };
}

/** An account, an IAM or STS ARN, a service of the cloud, or anybody. */
export function isPrincipal(text: string): boolean {
	if (text === "*" || isAccount(text)) return true;
	if (/^arn:aws[a-zA-Z-]*:(iam|sts)::(\d{12}|cloudfront):(root|[a-z-]+\/[\w+=,.@/ -]+)$/.test(text)) return true;
	return /^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazon(aws)?\.com(\.cn)?$/.test(text);
}

/** A statement allows what its action and principal name when all of its conditions hold; a condition on what the request does not say fails. */
export function statementAllows(statement: PolicyStatement, request: PolicyRequest): boolean {
	return (
		like(statement.action, request.action) &&
		principalMatches(statement.principal, request.principal) &&
		sameIfSet(statement.functionUrlAuthType, request.functionUrlAuthType) &&
		sameIfSet(statement.invokedViaFunctionUrl, request.invokedViaFunctionUrl) &&
		sameIfSet(statement.principalOrgId, request.principalOrgId) &&
		sameIfSet(statement.sourceAccount, request.sourceAccount) &&
		sameIfSet(statement.eventSourceToken, request.eventSourceToken) &&
		(statement.sourceArn === undefined ||
			(request.sourceArn !== undefined && arnLike(statement.sourceArn, request.sourceArn)))
	);
}

function sameIfSet<T>(condition: T | undefined, actual: T | undefined): boolean {
	return condition === undefined || condition === actual;
}

/** An account stands for everybody in it (IAM User Guide, "AWS JSON policy elements: Principal"). */
function principalMatches(allowed: string, principal: string): boolean {
	if (allowed === "*" || allowed === principal) return true;
	const account = isAccount(allowed) ? allowed : /^arn:[^:]*:iam::(\d{12}):root$/.exec(allowed)?.[1];
	return account !== undefined && account === accountOf(principal);
}

function accountOf(principal: string): string | undefined {
	return isAccount(principal) ? principal : /^arn:[^:]*:(?:iam|sts)::(\d{12}):/.exec(principal)?.[1];
}

function isAccount(text: string): boolean {
	return /^\d{12}$/.test(text);
}

/** ArnLike: each of the six parts by itself, so that a wildcard does not reach over a colon (IAM User Guide, "ARN condition operators"). */
function arnLike(pattern: string, arn: string): boolean {
	const patternParts = arnParts(pattern);
	const parts = arnParts(arn);
	return patternParts.length === parts.length && patternParts.every((part, i) => like(part, parts[i] ?? ""));
}

function arnParts(arn: string): string[] {
	const parts = arn.split(":");
	return parts.length <= 6 ? parts : [...parts.slice(0, 5), parts.slice(5).join(":")];
}

/** `*` and `?`. Each star is settled once, so that no pattern takes longer than pattern times text. */
function like(pattern: string, text: string): boolean {
	let p = 0;
	let t = 0;
	let star = -1;
	let retry = 0;
	while (t < text.length) {
		if (pattern[p] === "*") {
			star = p++;
			retry = t;
		} else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
			p++;
			t++;
		} else if (star >= 0) {
			p = star + 1;
			t = ++retry;
		} else return false;
	}
	while (pattern[p] === "*") p++;
	return p === pattern.length;
}
