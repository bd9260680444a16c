import { FakeIdempotencyStore } from "./fake-idempotency-store.ts";
import { idempotencyStoreContract } from "./idempotency-store.contract.ts";

idempotencyStoreContract("fake", async () => ({ store: new FakeIdempotencyStore(), async [Symbol.asyncDispose]() {} }));
