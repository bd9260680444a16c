import { workloadLogs } from "./workload-verbs.ts";

export const verb = workloadLogs("services", "service", "REVISION/INSTANCE[/CONTAINER]");
