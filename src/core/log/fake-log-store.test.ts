import { FakeLogStore } from "./fake-log-store.ts";
import { logStoreContract } from "./log-store.contract.ts";

logStoreContract("fake", async () => ({ store: new FakeLogStore() }));
