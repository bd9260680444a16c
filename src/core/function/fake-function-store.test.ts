import { FakeFunctionStore } from "./fake-function-store.ts";
import { functionStoreContract } from "./function-store.contract.ts";

functionStoreContract("fake", async () => ({ store: new FakeFunctionStore(), async [Symbol.asyncDispose]() {} }));
