import { FakeResourceStore } from "./fake-resource-store.ts";
import { resourceStoreContract } from "./resource-store.contract.ts";

resourceStoreContract("fake", async () => ({ store: new FakeResourceStore(), async [Symbol.asyncDispose]() {} }));
