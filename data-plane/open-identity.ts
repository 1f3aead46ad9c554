import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IdentityFolder } from "./identity/identity-folder.ts";
import { JoinedIdentity } from "./identity/joined-identity.ts";
import type { NodeIdentity } from "./identity/node-identity.ts";
import { OwnPkiIdentity } from "./identity/own-pki-identity.ts";
import { type JoinToken, readJoinToken } from "./identity/read-join-token.ts";
import type { DataPlaneOptions } from "./options.ts";
import { StartError } from "./start-error.ts";
import type { StateFolder } from "./state-folder.ts";
import { systemClock } from "./sync/clock.ts";
import type { Log } from "./telemetry/log.ts";

/** Certificates from elsewhere; null where none are given. Errors: StartError. */
export function openOwnPki(options: DataPlaneOptions): OwnPkiIdentity | null {
  const { syncTls, syncCert, syncKey, syncCa } = options;
  if (syncTls === "off" || (syncCert === null && syncKey === null && syncCa === null)) return null;
  if (syncCert === null || syncKey === null || syncCa === null)
    throw new StartError("--sync-cert, --sync-key and --sync-ca go together");
  const own = new OwnPkiIdentity({ certFile: syncCert, keyFile: syncKey, authorityFile: syncCa });
  const access = own.access("localhost:1");
  if (!access.ok) throw new StartError(access.problem);
  if (own.nodeId() === null)
    throw new StartError(
      `the certificate in ${syncCert} names no node: a SPIFFE id that ends in /node/UUID, or a uuid as its CN`,
    );
  return own;
}

/** Which id the state folder is to keep. Errors: StartError where two are given. */
export function givenNodeId(options: DataPlaneOptions, own: OwnPkiIdentity | null): string | null {
  const certified = own?.nodeId() ?? null;
  if (certified !== null && options.nodeId !== null && certified !== options.nodeId)
    throw new StartError(`the certificate is of node ${certified}, and --node-id says ${options.nodeId}`);
  return certified ?? options.nodeId;
}

/** Who this node is to its control planes; null without TLS. Errors: StartError. */
export function openIdentity(
  options: DataPlaneOptions,
  place: Pick<StateFolder, "path" | "nodeId">,
  log: Log,
): NodeIdentity | null {
  const { syncTls, controlPlanes } = options;
  if (syncTls === "off") return null;
  const folder = new IdentityFolder(join(place.path, "identity"));
  const token = readToken(options);
  if (syncTls === "auto" && token === null && folder.key() === null) return null;
  const { nodeId } = place;
  return new JoinedIdentity({ folder, nodeId, controlPlanes, token, clock: systemClock, random: Math.random, log });
}

/** Its text is in no message: it is a secret. */
function readToken({ joinToken, joinTokenFile }: DataPlaneOptions): JoinToken | null {
  if (joinToken !== null && joinTokenFile !== null) throw new StartError("give --join-token or --join-token-file");
  const text = joinTokenFile === null ? joinToken : readTokenFile(joinTokenFile);
  if (text === null) return null;
  const token = readJoinToken(text);
  if (token === null) throw new StartError("the join token is not one: `penstock node token` prints them, pst1.…");
  return token;
}

/** Null where the file is gone: whoever has joined may throw it away. */
function readTokenFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartError(`the file with the join token cannot be read: ${(cause as Error).message}`, { cause });
  }
}
