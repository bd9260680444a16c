import type * as sdk from "@aws-sdk/client-lambda";
import type { PolicyStatement } from "../../../../core/function/function.ts";
import { policyDocument, statementDocument } from "../../../../engine/functions/policy-document.ts";
import type { Call, Handlers, Input } from "../../service.ts";
import { given } from "./configuration.ts";
import { type FunctionName, parseFunctionName } from "./function-name.ts";
import type { LambdaDeps } from "./ports.ts";

export function policyHandlers({ policies }: Pick<LambdaDeps, "policies">): Handlers<typeof sdk> {
	return {
		async AddPermission(input, call) {
			const { name, qualifier = "", arn } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			const statement = readStatement(input);
			await policies.add(name, qualifier, statement, input.RevisionId);
			return { Statement: JSON.stringify(statementDocument(statement, resourceArn(arn, qualifier))) };
		},

		GetPolicy(input, call) {
			const { name, qualifier, arn } = policyOf(input, call);
			const { statements, revisionId } = policies.get(name, qualifier);
			return {
				Policy: JSON.stringify(policyDocument(statements, resourceArn(arn, qualifier))),
				RevisionId: revisionId,
			};
		},

		async RemovePermission(input, call) {
			const { name, qualifier } = policyOf(input, call);
			await policies.remove(name, qualifier, input.StatementId, input.RevisionId);
			return {};
		},
	};
}

/** Nothing is added to $LATEST, which has no policy of its own; whoever reads it means the function. */
function policyOf(
	input: { FunctionName: string; Qualifier?: string | undefined },
	call: Call,
): FunctionName & { qualifier: string } {
	const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
	return { ...target, qualifier: target.qualifier === "$LATEST" ? "" : (target.qualifier ?? "") };
}

function resourceArn(arn: string, qualifier: string): string {
	return qualifier === "" ? arn : `${arn}:${qualifier}`;
}

function readStatement(input: Input<typeof sdk, "AddPermission">): PolicyStatement {
	return {
		sid: input.StatementId,
		action: input.Action,
		principal: input.Principal,
		...given({
			sourceArn: input.SourceArn,
			sourceAccount: input.SourceAccount,
			principalOrgId: input.PrincipalOrgID,
			eventSourceToken: input.EventSourceToken,
			functionUrlAuthType: input.FunctionUrlAuthType,
			invokedViaFunctionUrl: input.InvokedViaFunctionUrl,
		}),
	};
}
