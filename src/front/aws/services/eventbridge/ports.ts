import type * as sdk from "@aws-sdk/client-eventbridge";
import type { Bus } from "../../../../engine/bus/bus.ts";
import type { Place } from "../../../../engine/bus/names.ts";
import type { Handlers } from "../../service.ts";

/** What the EventBridge API needs. */
export interface EventBridgeDeps extends Place {
	bus: Omit<Bus, "start" | typeof Symbol.asyncDispose>;
}

export type EventBridgeHandlers = Handlers<typeof sdk>;
