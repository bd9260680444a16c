import { rootfsStoreContract } from "../../core/image/rootfs-store.contract.ts";
import { OverlayRootfsStore } from "./overlay-rootfs-store.ts";

const skip = process.getuid?.() === 0 ? undefined : "needs root (chroot, mount)";
rootfsStoreContract("OverlayRootfsStore", (root) => OverlayRootfsStore.open({ root }), { skip });
