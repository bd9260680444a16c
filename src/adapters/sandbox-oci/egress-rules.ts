import { formatRange, type Ipv4Range } from "./ipv4.ts";

export interface EgressRules {
	/** Name of our table. */
	table: string;
	/** What the names of our host-side interfaces begin with. */
	interfacePrefix: string;
	subnet: Ipv4Range;
	/** Our name server's address, when there is one; the only thing of the host that a sandbox may reach. */
	dnsAddress?: string;
}

/** What every interface of this program begins with, whatever its state folder. */
export const INTERFACE_MARK = "slw";

/**
 * The packet filter for sandboxes with egress (nft(8)): out through NAT, and nothing else. Refusals answer, so that a
 * library which looks for a metadata service gives up at once instead of after its timeout.
 *
 * Replaces the whole table in one transaction, also when there was none.
 */
export function nftRuleset(rules: EgressRules): string {
	const ours = `iifname "${rules.interfacePrefix}*"`;
	const toUs = `oifname "${rules.interfacePrefix}*"`;
	const subnet = formatRange(rules.subnet);
	const dns = rules.dnsAddress
		? `
		${ours} ip daddr ${rules.dnsAddress} udp dport 53 accept
		${ours} ip daddr ${rules.dnsAddress} tcp dport 53 accept`
		: "";
	return `table inet ${rules.table}
delete table inet ${rules.table}
table inet ${rules.table} {
	chain refuse {
		meta l4proto tcp reject with tcp reset
		reject
	}
	chain spoofing {
		type filter hook prerouting priority raw; policy accept;
		${ours} meta nfproto ipv6 drop
		${ours} fib saddr . iif oif missing drop
	}
	chain host {
		type filter hook input priority filter - 10; policy accept;${dns}
		${ours} jump refuse
	}
	chain through {
		type filter hook forward priority filter - 10; policy accept;
		${ours} oifname "${INTERFACE_MARK}*" jump refuse
		${ours} ip daddr { ${subnet}, 169.254.0.0/16, 127.0.0.0/8 } jump refuse
		${toUs} ct state established,related accept
		${toUs} drop
	}
	chain translate {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr ${subnet} oifname != "${INTERFACE_MARK}*" masquerade
	}
}
`;
}
