import { triggerSwitch } from "./trigger-switch.ts";

export const verb = triggerSwitch({
	usage: "trigger pause NAME...",
	summary: "Take no more events; what is in hand is delivered",
	change: (events, name) => events.pauseTrigger(name),
});
