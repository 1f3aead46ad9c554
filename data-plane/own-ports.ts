import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Address } from "./option-readers.ts";
import { canonicalAddress } from "./upstream/canonical-address.ts";

const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);
const loopbackNames: ReadonlySet<string> = new Set(["localhost", "localhost."]);

/** Where this node itself listens: a target there would send requests round and round, or to its own status page. */
export class OwnPorts {
  readonly #hostsByPort = new Map<number, Set<string>>();
  readonly #ownAddresses: () => readonly string[];

  /** @param ownAddresses of this machine; may change while it runs */
  constructor(listening: readonly (Address | null)[], ownAddresses: () => readonly string[] = interfaceAddresses) {
    this.#ownAddresses = ownAddresses;
    for (const address of listening) if (address !== null) this.add(address);
  }

  /** The node listens there; port 0 is one that is not known yet. */
  add({ host, port }: Address): void {
    if (port === 0) return;
    const hosts = this.#hostsByPort.get(port) ?? new Set();
    hosts.add(canonicalAddress(host.toLowerCase()));
    this.#hostsByPort.set(port, hosts);
  }

  /** Only by literal addresses and the name localhost: what other names stand for changes. */
  readonly has = (host: string, port: number): boolean => {
    const listening = this.#hostsByPort.get(port);
    if (listening === undefined) return false;
    const asked = canonicalAddress(host.toLowerCase());
    if (loopbackNames.has(asked)) {
      return [...listening].some((each) => wildcards.has(each) || isLoopback(each) || loopbackNames.has(each));
    }
    if (isIP(asked) === 0) return false;
    if (listening.has(asked) || (isLoopback(asked) && listening.has("localhost"))) return true;
    const isOwn =
      wildcards.has(asked) || isLoopback(asked) || this.#ownAddresses().map(canonicalAddress).includes(asked);
    return isOwn && [...listening].some((each) => wildcards.has(each));
  };
}

function isLoopback(address: string): boolean {
  return address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
}
