import { FakeRepositoryStore } from "./fake-repository-store.ts";
import { repositoryStoreContract } from "./repository-store.contract.ts";

repositoryStoreContract("fake", async () => ({ store: new FakeRepositoryStore(), async [Symbol.asyncDispose]() {} }));
