import { isIP } from "node:net";

/** The Host header for an endpoint: ":port" is left out where it is `impliedPort`. */
export function hostHeaderFor(host: string, port: number, impliedPort: number): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return port === impliedPort ? name : `${name}:${port}`;
}
