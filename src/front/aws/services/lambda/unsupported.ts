/** What a function may ask for in the cloud and can't have here: refused by name, never ignored. */
import { SlipwayError } from "../../../../base/error.ts";
import { imagesOnly } from "./errors.ts";

type Request = Readonly<Record<string, unknown>>;

/** Members that only zip packages have. */
const zipMembers = ["Runtime", "Handler", "Layers"];
const zipCode = ["ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"];

/** Members that may be sent empty (IaC tools do), and nothing else. */
const emptyOnly = [
	"VpcConfig",
	"DeadLetterConfig",
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
	if (request.Publish === true)
		throw unsupported("Slipway does not support Publish yet: functions have the version $LATEST only");
}

function given(request: Request, names: readonly string[]): string[] {
	return names.filter((name) => !isEmpty(request[name]));
}

function isEmpty(value: unknown): boolean {
	if (value === undefined || value === null || value === "" || value === false) return true;
	if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
	return typeof value === "object" && Object.values(value).every(isEmpty);
}

function unsupported(message: string): SlipwayError {
	return new SlipwayError("UNSUPPORTED", message);
}
