import type { AnyRequest } from "./answer.ts";
import { isLoopback } from "./loopback-address.ts";

/** Where a caller is shown private keys; elsewhere they are masked. */
export interface ShownSecrets {
  /** In a read of a single resource. */
  readonly ofOne: boolean;
  readonly inLists: boolean;
}

export type SecretAccess = (request: AnyRequest) => ShownSecrets;

export const noSecrets: ShownSecrets = { ofOne: false, inLists: false };

/** What a proxy writes of who it speaks for. */
const forwardingFields = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/**
 * Who may read secrets: callers on this machine, which could read the files as well. A request that a proxy passes on
 * comes from somewhere else.
 *
 * @param isInLists whether they also get them in lists, for tools that compare keys
 */
export function secretAccess(isInLists: boolean): SecretAccess {
  const shown: ShownSecrets = { ofOne: true, inLists: isInLists };
  return ({ headers, socket }) => {
    const peer = (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
    const isPassedOn = forwardingFields.some((name) => headers[name] !== undefined);
    return isLoopback(peer) && !isPassedOn ? shown : noSecrets;
  };
}
