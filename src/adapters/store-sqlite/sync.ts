/** An asynchronous port as the thread that does the work sees it. */
export type Sync<T> = {
	[K in keyof T]: T[K] extends (...parameters: infer P) => Promise<infer R> ? (...parameters: P) => R : never;
};
