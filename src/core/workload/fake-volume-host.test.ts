import { FakeVolumeHost } from "./fake-volume-host.ts";
import { volumeHostContract } from "./volume-host.contract.ts";

volumeHostContract("fake", async () => ({ volumes: new FakeVolumeHost(), [Symbol.asyncDispose]: async () => {} }));
