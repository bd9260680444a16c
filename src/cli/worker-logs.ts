import { workloadLogs } from "./workload-verbs.ts";

export const verb = workloadLogs("workers", "worker", "REVISION/INSTANCE[/CONTAINER]");
