/**
 * A stack of things to dispose, in reverse order. Every one is disposed even if another fails; the first error is the
 * one that is thrown. (AsyncDisposableStack would wrap several into SuppressedError and bury the first.)
 */
export class Lifetime implements AsyncDisposable {
	readonly #disposers: (() => unknown)[] = [];
	#disposed: Promise<void> | undefined;

	use<T extends AsyncDisposable | Disposable>(resource: T): T {
		this.defer(() =>
			Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : (resource as Disposable)[Symbol.dispose](),
		);
		return resource;
	}

	defer(dispose: () => unknown): void {
		if (this.#disposed) throw new Error("Deferred onto a lifetime that has already ended");
		this.#disposers.push(dispose);
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		const errors: unknown[] = [];
		for (let dispose = this.#disposers.pop(); dispose; dispose = this.#disposers.pop()) {
			try {
				await dispose();
			} catch (error) {
				errors.push(error);
			}
		}
		if (errors.length > 0) throw errors[0];
	}
}
