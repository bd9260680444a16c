import type * as sdk from "@aws-sdk/client-lambda";
import type { FunctionUrl, FunctionUrlCors } from "../../../../core/function/function.ts";
import type { Handlers } from "../../service.ts";
import { given } from "./configuration.ts";
import { type FunctionName, parseFunctionName, qualifiedArn } from "./function-name.ts";
import { pageOf } from "./paging.ts";
import type { LambdaDeps, LambdaUrls } from "./ports.ts";

export function urlHandlers({ urls }: Pick<LambdaDeps, "urls">): Handlers<typeof sdk> {
	return {
		async CreateFunctionUrlConfig(input, call) {
			const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
			const settings = { authType: input.AuthType, ...readSettings(input) };
			const url = await urls.create(target.name, target.qualifier ?? "", settings);
			return { ...written(urls, target, url), ...given({ InvokeMode: input.InvokeMode }) };
		},

		GetFunctionUrlConfig(input, call) {
			const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
			return read(urls, target, urls.get(target.name, target.qualifier ?? ""));
		},

		async UpdateFunctionUrlConfig(input, call) {
			const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
			const changes = { ...given({ authType: input.AuthType }), ...readSettings(input) };
			const url = await urls.update(target.name, target.qualifier ?? "", changes);
			return {
				...written(urls, target, url),
				LastModifiedTime: time(url.lastModifiedMs),
				...given({ InvokeMode: input.InvokeMode }),
			};
		},

		async DeleteFunctionUrlConfig(input, call) {
			const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
			await urls.delete(target.name, target.qualifier ?? "");
			return {};
		},

		ListFunctionUrlConfigs(input, call) {
			const target = parseFunctionName(input.FunctionName, undefined, call);
			const { page, ...marker } = pageOf(urls.list(target.name), input, (item) => item.qualifier);
			const configs = page.map(({ qualifier, url }) =>
				read(urls, { ...target, qualifier: qualifier === "" ? undefined : qualifier }, url),
			);
			return { FunctionUrlConfigs: configs, ...marker };
		},
	};
}

/** The answers to writes name the mode only where the request did; reads name the default too (recorded answers). */
function written(urls: LambdaUrls, target: FunctionName, url: FunctionUrl) {
	const cors = url.cors && writeCors(url.cors);
	return {
		FunctionUrl: urls.address(url),
		FunctionArn: qualifiedArn(target),
		AuthType: url.authType,
		...(cors && Object.keys(cors).length > 0 && { Cors: cors }),
		CreationTime: time(url.createdMs),
	};
}

function read(urls: LambdaUrls, target: FunctionName, url: FunctionUrl) {
	return {
		...written(urls, target, url),
		LastModifiedTime: time(url.lastModifiedMs),
		InvokeMode: url.invokeMode ?? "BUFFERED",
	};
}

function time(ms: number): string {
	return new Date(ms).toISOString();
}

function readSettings(input: { InvokeMode?: sdk.InvokeMode | undefined; Cors?: sdk.Cors | undefined }) {
	return given({ invokeMode: input.InvokeMode, cors: input.Cors && readCors(input.Cors) });
}

function readCors(cors: sdk.Cors): FunctionUrlCors {
	return given({
		allowOrigins: cors.AllowOrigins,
		allowMethods: cors.AllowMethods,
		allowHeaders: cors.AllowHeaders,
		exposeHeaders: cors.ExposeHeaders,
		allowCredentials: cors.AllowCredentials,
		maxAge: cors.MaxAge,
	});
}

function writeCors(cors: FunctionUrlCors): sdk.Cors {
	return given({
		AllowCredentials: cors.allowCredentials,
		AllowHeaders: cors.allowHeaders,
		AllowMethods: cors.allowMethods,
		AllowOrigins: cors.allowOrigins,
		ExposeHeaders: cors.exposeHeaders,
		MaxAge: cors.maxAge,
	});
}
