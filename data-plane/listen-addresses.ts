import type { Address } from "./option-readers.ts";
import type { DataPlaneOptions } from "./options.ts";
import { probePort } from "./probe-port.ts";
import { StartError } from "./start-error.ts";

/** The hosts to listen on: what was asked for, or by default both families as far as there are; none for "off". */
export async function freeHosts(
  options: DataPlaneOptions,
  name: "proxyListen" | "proxyTlsListen",
): Promise<readonly string[]> {
  const address = options[name];
  if (address === null) return [];
  const { host, port } = address;
  const hosts = options.given.has(name) ? [host] : [host, "::"];
  const usable: string[] = [];
  for (const candidate of hosts) {
    const probe = await probePort(candidate, port);
    // Also with --take-over, which shares the port, an address that is not there is a mistake.
    const isFine = probe.type === "free" || (probe.type === "in_use" && options.isTakeOver);
    if (isFine) usable.push(candidate);
    else if (probe.type !== "no_address" || candidate === host) throw new StartError(probe.message);
  }
  return usable;
}

/** `host:port`, IPv6 in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
