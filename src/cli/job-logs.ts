import { workloadLogs } from "./workload-verbs.ts";

export const verb = workloadLogs("jobs", "job", "EXECUTION/TASK/ATTEMPT[/CONTAINER]");
