/** What a function may ask for in the cloud and can't have here: refused by name, never ignored. */
import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import { AwsError } from "../../errors.ts";
import type { Handler, Handlers } from "../../service.ts";
import { imagesOnly } from "./errors.ts";

type Request = Readonly<Record<string, unknown>>;

/** Members that only zip packages have. */
const zipMembers = ["Runtime", "Handler", "Layers"];
const zipCode = ["ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion", "S3ObjectStorageMode"];

/** Members that may be sent empty (IaC tools do), and nothing else. */
const emptyOnly = [
	"VpcConfig",
	"KMSKeyArn",
	"FileSystemConfigs",
	"CodeSigningConfigArn",
	"CapacityProviderConfig",
	"DurableConfig",
	"TenancyConfig",
	"PublishTo",
	"SourceKMSKeyArn",
];

/** SlipwayError UNSUPPORTED. `code` is where the package is named: the request's Code, or the request itself. */
export function refuseUnsupported(request: Request, code: Request | undefined): void {
	const zip = [...given(request, zipMembers), ...given(code ?? {}, zipCode)];
	if (request.PackageType === "Zip") zip.unshift("PackageType Zip");
	if (zip.length > 0) throw unsupported(`${zip.join(", ")} can't be used here. ${imagesOnly}`);
	const other = given({ ...code, ...request }, emptyOnly);
	if (other.length > 0) throw unsupported(`Slipway does not support ${other.join(", ")} yet`);
	if ((request.SnapStart as Request | undefined)?.ApplyOn === "PublishedVersions")
		throw unsupported("SnapStart is not supported for container images");
}

function given(request: Request, names: readonly string[]): string[] {
	return names.filter((name) => !isEmpty(request[name]));
}

function isEmpty(value: unknown): boolean {
	if (value === undefined || value === null || value === "" || value === false) return true;
	if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
	return typeof value === "object" && Object.values(value).every(isEmpty);
}

/** Operations as a whole, by name; the others that the front does not know say so with their name only. */
const unsupportedOperations = {
	...because("layers are for zip packages: put their files into the image", [
		"PublishLayerVersion",
		"GetLayerVersion",
		"GetLayerVersionByArn",
		"GetLayerVersionPolicy",
		"AddLayerVersionPermission",
		"RemoveLayerVersionPermission",
		"DeleteLayerVersion",
		"ListLayerVersions",
	]),
	...because("functions run on this machine, not on a fleet of instances", [
		"CreateCapacityProvider",
		"GetCapacityProvider",
		"UpdateCapacityProvider",
		"DeleteCapacityProvider",
		"ListFunctionVersionsByCapacityProvider",
		"GetFunctionScalingConfig",
		"PutFunctionScalingConfig",
	]),
	...because("durable functions are not there yet", [
		"CheckpointDurableExecution",
		"GetDurableExecution",
		"GetDurableExecutionHistory",
		"GetDurableExecutionState",
		"ListDurableExecutionsByFunction",
		"SendDurableExecutionCallbackFailure",
		"SendDurableExecutionCallbackHeartbeat",
		"SendDurableExecutionCallbackSuccess",
		"StopDurableExecution",
	]),
} satisfies Handlers<typeof sdk>;

/** Reads of what there is none of answer so; everything else says why it is not there. */
export function unsupportedHandlers(): Handlers<typeof sdk> {
	return {
		...unsupportedOperations,
		ListLayers: () => ({ Layers: [] }),
		ListCapacityProviders: () => ({ CapacityProviders: [] }),
	};
}

function because<Name extends string>(why: string, names: readonly Name[]): Record<Name, Handler<unknown, never>> {
	const refuse: Handler<unknown, never> = (_input, { operation }) => {
		throw new AwsError("NotImplementedException", 501, `Slipway does not implement lambda:${operation}: ${why}`);
	};
	const table = {} as Record<Name, typeof refuse>;
	for (const name of names) table[name] = refuse;
	return table;
}

function unsupported(message: string): SlipwayError {
	return new SlipwayError("UNSUPPORTED", message);
}
