import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { type Authority, openAuthority } from "./authority.ts";
import { enrolService, type SyncService } from "./enrol-service.ts";
import { NodeGate } from "./node-gate.ts";
import { NodeIdentities } from "./node-identities.ts";
import { NodeTokens } from "./node-tokens.ts";
import { type OwnPkiFiles, readOwnPki, watchOwnPki } from "./own-pki.ts";
import { RefusalLog } from "./refusal-log.ts";
import { type SyncCredentials, SyncTls } from "./sync-tls.ts";

/** How the nodes and the control plane know each other. */
export type SyncIdentityMode =
  /** Not at all: no TLS. */
  | { readonly type: "off" }
  /** By the authority that the control plane makes itself. */
  | { readonly type: "built_in"; readonly certificateLifeMs: number }
  /** By certificates from elsewhere. */
  | { readonly type: "own"; readonly files: OwnPkiFiles };

export interface SyncIdentityOptions {
  readonly mode: SyncIdentityMode;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the sync port does by who the nodes are. */
export interface SyncIdentity {
  readonly identities: NodeIdentities;
  /** Null without TLS. */
  readonly secured: {
    readonly tls: SyncTls;
    readonly gate: NodeGate;
    readonly services: readonly SyncService[];
  } | null;
  close(): void;
}

/** The control plane's own certificate is made anew, with a new key, at each start and at half of this. */
const ownLifeMs = 7 * 86_400_000;
/** Until another try, after one that failed. */
const retryMs = 3_600_000;

/** Errors: OwnPkiError (files that cannot be used); rejects when the store does not take the authority. */
export async function openSyncIdentity(options: SyncIdentityOptions): Promise<SyncIdentity> {
  const { mode, store, clock, log } = options;
  const refusals = new RefusalLog(clock, log);
  if (mode.type === "off") {
    const identities = new NodeIdentities({ store, clock, gate: null, tokens: null, refusals });
    return { identities, secured: null, close() {} };
  }
  const authority = mode.type === "built_in" ? await openAuthority(store, clock.unixMs()) : null;
  const credentials = mode.type === "own" ? readOwnPki(mode.files) : await certifySelf(authority!, clock.unixMs());
  const tls = new SyncTls({ credentials, log });
  const stopRenewal =
    mode.type === "own"
      ? watchOwnPki(credentials, { files: mode.files, clock, log, onChange: (changed) => tls.update(changed) })
      : renewSelf(authority!, tls, clock, log);
  const gate = new NodeGate({ store, clock, refusals, causeOf: (peer) => tls.causeOf(peer) });
  const services: SyncService[] = [];
  if (mode.type === "built_in") {
    const { certificateLifeMs } = mode;
    const isPlain = (peer: string) => tls.isPlain(peer);
    services.push(
      enrolService({ store, clock, authority: authority!, certificateLifeMs, gate, refusals, log, isPlain }),
    );
  }
  const tokens = authority === null ? null : new NodeTokens(store, clock, authority);
  return {
    identities: new NodeIdentities({ store, clock, gate, tokens, refusals }),
    secured: { tls, gate, services },
    close() {
      stopRenewal();
      gate.close();
    },
  };
}

async function certifySelf(authority: Authority, nowMs: number): Promise<SyncCredentials> {
  const { cert, key } = await authority.certifyControlPlane(nowMs, ownLifeMs);
  return { cert, key, authorities: authority.certificate };
}

/** Returns the way to stop. */
function renewSelf(authority: Authority, tls: SyncTls, clock: Clock, log: Log): () => void {
  let isStopped = false;
  let cancel = () => {};
  const schedule = (delayMs: number) => {
    if (!isStopped) cancel = clock.after(delayMs, () => void renew());
  };
  const renew = async () => {
    try {
      tls.update(await certifySelf(authority, clock.unixMs()));
      schedule(ownLifeMs / 2);
    } catch (error) {
      log.error({ err: error }, "the control plane's own certificate could not be renewed");
      schedule(retryMs);
    }
  };
  schedule(ownLifeMs / 2);
  return () => {
    isStopped = true;
    cancel();
  };
}
