import type { Route } from "../../proto/gen/penstock/config/v1/route_pb.ts";

/** Any name. */
const ANY = "*";

/**
 * The names under which a route may be asked for over TLS. What a certificate asks of clients holds for hosts as well
 * as for server names, so both count.
 */
export function serverNamesOf({ hosts, snis }: Pick<Route, "hosts" | "snis">): readonly string[] {
  if (hosts.length === 0) return [ANY];
  return [...new Set([...hosts.map((host) => host.toLowerCase().replace(/:[0-9]+$/, "")), ...snis.map(lowerCase)])];
}

export function lowerCase(name: string): string {
  return name.toLowerCase();
}

export function isPattern(name: string): boolean {
  return name.includes("*");
}

/**
 * Whether a name can be meant by both. A "*" stands for any text here, also for more labels than one: rather a
 * certificate too many than a host without the one that it is to be served with.
 */
export function canBeSameName(left: string, right: string): boolean {
  if (!isPattern(left)) return isPattern(right) ? isOf(left, right) : left === right;
  if (!isPattern(right)) return isOf(right, left);
  const [leftStart, leftEnd] = parts(left);
  const [rightStart, rightEnd] = parts(right);
  const canStart = leftStart.startsWith(rightStart) || rightStart.startsWith(leftStart);
  return canStart && (leftEnd.endsWith(rightEnd) || rightEnd.endsWith(leftEnd));
}

function isOf(name: string, pattern: string): boolean {
  const [start, end] = parts(pattern);
  return name.length >= start.length + end.length && name.startsWith(start) && name.endsWith(end);
}

function parts(pattern: string): readonly [string, string] {
  const at = pattern.indexOf("*");
  return [pattern.slice(0, at), pattern.slice(at + 1)];
}
