import { SlipwayError, systemCode } from "../../base/error.ts";
import { close, failure, interfaceIndex, receive, routeSocket, send } from "../../base/syscall.ts";
import { decodeAcknowledgement, encodeRequest, type NetlinkRequest } from "./netlink-message.ts";

/** An answer is 36 bytes and a sentence, with NETLINK_CAP_ACK. */
const ANSWER_BYTES = 4096;
/** As the kernel counts them: an unsigned number of 32 bits. */
const SEQUENCE_NUMBERS = 2 ** 32;

/**
 * A conversation with the kernel about the network namespace of the thread that opens it (rtnetlink(7)). The kernel does
 * what it is asked, and answers, within the call that asks: nothing here waits for anything else.
 */
export class RouteSocket implements Disposable {
	readonly #fd = routeSocket();
	readonly #answer = Buffer.alloc(ANSWER_BYTES);
	#sequence = 0;

	/** Throws the system's own code (EEXIST, ENODEV, …) with the kernel's reason, if it gave one. `doing` is for the message. */
	request(request: NetlinkRequest, doing: string): void {
		this.#sequence = (this.#sequence + 1) % SEQUENCE_NUMBERS;
		send(this.#fd, encodeRequest(request, this.#sequence));
		const length = receive(this.#fd, this.#answer);
		const { sequence, errno, reason } = decodeAcknowledgement(this.#answer.subarray(0, length));
		if (sequence !== this.#sequence)
			throw new SlipwayError(
				"SANDBOX_FAILED",
				`The kernel answered netlink request ${sequence}, not ${this.#sequence}`,
			);
		if (errno !== 0) throw failure("rtnetlink", errno, reason === "" ? doing : `${doing}: ${reason}`);
	}

	/** Of an interface here; undefined when there is none of that name. */
	indexOf(name: string): number | undefined {
		try {
			return interfaceIndex(this.#fd, name);
		} catch (error) {
			if (systemCode(error) === "ENODEV") return undefined;
			throw error;
		}
	}

	[Symbol.dispose](): void {
		close(this.#fd);
	}
}
