import { runDaemonProcess } from "./process.ts";
import { wire } from "./wiring.ts";

await runDaemonProcess({ wire });
