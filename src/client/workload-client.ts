/** The part of the client that is about services, jobs, workers and the gateway's routes. */
import type { LogOptions, Query, Request } from "./client.ts";
import type { LogLine } from "./schema.ts";
import type {
	DevelopmentAuthorityView,
	DomainView,
	ExecutionStreamLine,
	ExecutionView,
	GatewayRouteView,
	InstanceView,
	JobView,
	RevisionView,
	RunJob,
	ServiceStreamLine,
	ServiceView,
	TaskView,
	TrafficTargetView,
	WorkerStreamLine,
	WorkerView,
} from "./service-schema.ts";

type Asked = Request & { query?: Query };
type Lines<T> = Exclude<T, { type: "problem" }>;

export interface WorkloadTransport {
	json<T>(path: string, request?: Asked): Promise<T>;
	send(path: string, request?: Asked): Promise<Response>;
	lines<T extends { type: string }>(path: string, request: Asked): AsyncGenerator<T>;
}

export class WorkloadClient {
	readonly #transport: WorkloadTransport;

	constructor(transport: WorkloadTransport) {
		this.#transport = transport;
	}

	async services(namespace?: string): Promise<ServiceView[]> {
		return (await this.#get<{ services: ServiceView[] }>("/services", { namespace })).services;
	}

	service(namespace: string, name: string): Promise<ServiceView> {
		return this.#get(path("services", namespace, name));
	}

	/** Create or replace. `manifest` is a Knative or Cloud Run Service. */
	applyService(
		namespace: string,
		manifest: object,
		options: { profile?: string | undefined; dryRun?: boolean } = {},
	): Promise<ServiceView> {
		const { profile, dryRun } = options;
		return this.#post("/services", manifest, { namespace, profile, dryRun: dryRun || undefined });
	}

	deleteService(namespace: string, name: string): Promise<void> {
		return this.#delete(path("services", namespace, name));
	}

	setTraffic(namespace: string, name: string, traffic: TrafficTargetView[]): Promise<ServiceView> {
		return this.#put(`${path("services", namespace, name)}/traffic`, { traffic });
	}

	rollback(namespace: string, name: string): Promise<ServiceView> {
		return this.#post(`${path("services", namespace, name)}/rollback`);
	}

	/** Ends its instances without a request; how many. */
	async stopService(namespace: string, name: string): Promise<number> {
		return (await this.#post<{ instances: number }>(`${path("services", namespace, name)}/stop`)).instances;
	}

	/** Of services, workers and jobs. */
	async instances(): Promise<InstanceView[]> {
		return (await this.#get<{ instances: InstanceView[] }>("/instances")).instances;
	}

	watchService(namespace: string, name: string, signal?: AbortSignal): AsyncGenerator<Lines<ServiceStreamLine>> {
		return this.#transport.lines(`${path("services", namespace, name)}/watch`, { signal });
	}

	async revisions(namespace?: string, service?: string): Promise<RevisionView[]> {
		return (await this.#get<{ revisions: RevisionView[] }>("/revisions", { namespace, service })).revisions;
	}

	revision(namespace: string, name: string): Promise<RevisionView> {
		return this.#get(path("revisions", namespace, name));
	}

	deleteRevision(namespace: string, name: string): Promise<void> {
		return this.#delete(path("revisions", namespace, name));
	}

	async jobs(namespace?: string): Promise<JobView[]> {
		return (await this.#get<{ jobs: JobView[] }>("/jobs", { namespace })).jobs;
	}

	job(namespace: string, name: string): Promise<JobView> {
		return this.#get(path("jobs", namespace, name));
	}

	applyJob(namespace: string, manifest: object): Promise<JobView> {
		return this.#post("/jobs", manifest, { namespace });
	}

	deleteJob(namespace: string, name: string): Promise<void> {
		return this.#delete(path("jobs", namespace, name));
	}

	runJob(namespace: string, name: string, overrides: RunJob = {}): Promise<ExecutionView> {
		return this.#post(`${path("jobs", namespace, name)}/run`, overrides);
	}

	async executions(namespace: string, job: string): Promise<ExecutionView[]> {
		const list = await this.#get<{ executions: ExecutionView[] }>(`${path("jobs", namespace, job)}/executions`);
		return list.executions;
	}

	execution(namespace: string, name: string): Promise<ExecutionView> {
		return this.#get(path("executions", namespace, name));
	}

	cancelExecution(namespace: string, name: string): Promise<ExecutionView> {
		return this.#post(`${path("executions", namespace, name)}/cancel`);
	}

	deleteExecution(namespace: string, name: string): Promise<void> {
		return this.#delete(path("executions", namespace, name));
	}

	async tasks(namespace: string, execution: string): Promise<TaskView[]> {
		return (await this.#get<{ tasks: TaskView[] }>(`${path("executions", namespace, execution)}/tasks`)).tasks;
	}

	watchExecution(namespace: string, name: string, signal?: AbortSignal): AsyncGenerator<Lines<ExecutionStreamLine>> {
		return this.#transport.lines(`${path("executions", namespace, name)}/watch`, { signal });
	}

	async workers(namespace?: string): Promise<WorkerView[]> {
		return (await this.#get<{ workers: WorkerView[] }>("/workers", { namespace })).workers;
	}

	worker(namespace: string, name: string): Promise<WorkerView> {
		return this.#get(path("workers", namespace, name));
	}

	applyWorker(namespace: string, manifest: object): Promise<WorkerView> {
		return this.#post("/workers", manifest, { namespace });
	}

	scaleWorker(namespace: string, name: string, instances: number): Promise<WorkerView> {
		return this.#put(`${path("workers", namespace, name)}/instances`, { instances });
	}

	deleteWorker(namespace: string, name: string): Promise<void> {
		return this.#delete(path("workers", namespace, name));
	}

	watchWorker(namespace: string, name: string, signal?: AbortSignal): AsyncGenerator<Lines<WorkerStreamLine>> {
		return this.#transport.lines(`${path("workers", namespace, name)}/watch`, { signal });
	}

	logs(
		kind: "services" | "jobs" | "workers",
		namespace: string,
		name: string,
		{ signal, ...query }: LogOptions = {},
	): AsyncGenerator<LogLine> {
		return this.#transport.lines(`${path(kind, namespace, name)}/logs`, { signal, query: { ...query } });
	}

	async gatewayRoutes(): Promise<GatewayRouteView[]> {
		return (await this.#get<{ routes: GatewayRouteView[] }>("/gateway-routes")).routes;
	}

	gatewayRoute(name: string): Promise<GatewayRouteView> {
		return this.#get(`/gateway-routes/${encodeURIComponent(name)}`);
	}

	applyGatewayRoute(document: object): Promise<GatewayRouteView> {
		return this.#post("/gateway-routes", document);
	}

	deleteGatewayRoute(name: string): Promise<void> {
		return this.#delete(`/gateway-routes/${encodeURIComponent(name)}`);
	}

	async domains(): Promise<DomainView[]> {
		return (await this.#get<{ domains: DomainView[] }>("/domains")).domains;
	}

	applyDomain(document: object): Promise<DomainView> {
		return this.#post("/domains", document);
	}

	developmentAuthority(): Promise<DevelopmentAuthorityView> {
		return this.#get("/development-authority");
	}

	deleteDomain(host: string): Promise<void> {
		return this.#delete(`/domains/${encodeURIComponent(host)}`);
	}

	#get<T>(path: string, query: Query = {}): Promise<T> {
		return this.#transport.json(path, { query });
	}

	#post<T>(path: string, body?: object, query: Query = {}): Promise<T> {
		return this.#transport.json(path, { method: "POST", query, ...(body && json(body)) });
	}

	#put<T>(path: string, body: object): Promise<T> {
		return this.#transport.json(path, { method: "PUT", ...json(body) });
	}

	async #delete(path: string): Promise<void> {
		await this.#transport.send(path, { method: "DELETE" });
	}
}

function path(kind: string, namespace: string, name: string): string {
	return `/${kind}/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

function json(body: object): Pick<Request, "body" | "headers"> & { headers: Record<string, string> } {
	return { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}
