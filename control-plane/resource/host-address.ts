import ipaddr from "ipaddr.js";

/** A host with or without port, taken apart. */
export interface HostAddress {
  readonly type: "name" | "ipv4" | "ipv6";
  /** A name as given, IPv4 without leading zeros, IPv6 written out in full without brackets. */
  readonly host: string;
  readonly port?: number;
}

/** Why a text is no host address; "port" when only its port is out of range. */
export type HostFault = "host" | "port";

/** What was read last: a write asks for one address several times. */
let last: { readonly text: string; readonly read: HostAddress | HostFault } = { text: "", read: "host" };

/**
 * Reads `name`, `name:port`, IPv4 with or without port, IPv6, `[IPv6]` and `[IPv6]:port`, as Kong does: more than one
 * colon makes it IPv6, nothing but digits and dots IPv4, and a name may hold underscores.
 */
export function readHostAddress(text: string): HostAddress | HostFault {
  if (text !== last.text) last = { text, read: readAnew(text) };
  return last.read;
}

function readAnew(text: string): HostAddress | HostFault {
  if (text.startsWith("[") || text.indexOf(":") !== text.lastIndexOf(":")) return readIpv6(text);
  const match = /^(.*?)(?::([0-9]+))?$/s.exec(text)!;
  const host = match[1]!;
  const port = match[2] === undefined ? undefined : Number(match[2]);
  const isIpv4 = /^[0-9.]+$/.test(host);
  const read = isIpv4 ? readIpv4(host) : isHostname(host) ? host : undefined;
  if (read === undefined) return "host";
  if (port !== undefined && port > 65535) return "port";
  return { type: isIpv4 ? "ipv4" : "name", host: read, ...(port === undefined ? {} : { port }) };
}

/** `host:port` as it is stored, with brackets around IPv6. */
export function formatHostAddress(address: HostAddress, defaultPort: number): string {
  const host = address.type === "ipv6" ? `[${address.host}]` : address.host;
  return `${host}:${address.port ?? defaultPort}`;
}

/** As it is stored already: four numbers up to 255 without leading zeros. */
const plainIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

function readIpv4(text: string): string | undefined {
  if (plainIpv4.test(text)) return text;
  const octets = text.split(".");
  const isValid = octets.length === 4 && octets.every((octet) => /^[0-9]{1,3}$/.test(octet) && Number(octet) <= 255);
  return isValid ? octets.map(Number).join(".") : undefined;
}

function readIpv6(text: string): HostAddress | HostFault {
  const match = /^\[([^\]]*)\](?::([0-9]+))?$/.exec(text);
  const address = match === null ? text : match[1]!;
  // A zone ("%eth0") means something on one machine only, and targets are shared by all nodes.
  if (address.includes("%") || !ipaddr.IPv6.isValid(address)) return "host";
  const host = ipaddr.IPv6.parse(address)
    .parts.map((part) => part.toString(16).padStart(4, "0"))
    .join(":");
  if (match?.[2] === undefined) return { type: "ipv6", host };
  const port = Number(match[2]);
  return port > 65535 ? "port" : { type: "ipv6", host, port };
}

/** Labels of letters, digits, "-" and "_", none empty or ending in "-"; a trailing dot is allowed. */
function isHostname(name: string): boolean {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return false;
  const labels = name.replace(/\.$/, "").split(".");
  return labels.every((label) => label !== "" && !label.endsWith("-"));
}
