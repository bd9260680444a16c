import { triggerSwitch } from "./trigger-switch.ts";

export const verb = triggerSwitch({
	usage: "trigger resume NAME...",
	summary: "Take events again",
	change: (events, name) => events.resumeTrigger(name),
});
