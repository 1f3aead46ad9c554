import { lookup } from "node:dns/promises";
import { hostname } from "node:os";
import { openAdmin } from "./admin/admin.ts";
import { startOverrideExpiry } from "./admin/expire-overrides.ts";
import { startExpiryLog } from "./admin/log-expiring-certificates.ts";
import { NameLookups } from "./admin/name-lookups.ts";
import { startTicketKeyRotation } from "./admin/rotate-ticket-key.ts";
import { healthReader } from "./admin/upstream-health.ts";
import { trafficReader } from "./admin/upstream-traffic.ts";
import { type AdminListener, startAdminListener } from "./api/admin-listener.ts";
import { ListenError, listenError } from "./api/bind-listen.ts";
import { lazyRpcFace } from "./api/grpc/lazy-rpc-face.ts";
import { restFace } from "./api/rest/rest-face.ts";
import { secretAccess } from "./api/secret-access.ts";
import type { NodeIdentities } from "./identity/node-identities.ts";
import { tokenTtlDefaultMs } from "./identity/node-tokens.ts";
import { openSyncIdentity, type SyncIdentity } from "./identity/open-sync-identity.ts";
import { OwnPkiError } from "./identity/own-pki.ts";
import { TrafficMerges } from "./observation/traffic-merges.ts";
import type { ControlPlaneOptions } from "./options.ts";
import { ownAddresses } from "./own-addresses.ts";
import { rolloutHistoryFloor } from "./rollout/rebuild-rollout.ts";
import { RolloutAdmin } from "./rollout/rollout-admin.ts";
import { RolloutDriver } from "./rollout/rollout-driver.ts";
import { orderedStore } from "./rollout/rollout-order.ts";
import { openRollouts, type Rollouts } from "./rollout/rollouts.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { StoreLockedError, StoreUnusableError } from "./store/store-error.ts";
import { systemClock } from "./sync/clock.ts";
import { startQuarantineCompletion } from "./sync/complete-quarantines.ts";
import { QuarantineKeeper } from "./sync/quarantine-keeper.ts";
import { type SyncHub, startSyncHub } from "./sync/sync-hub.ts";
import type { Log } from "./telemetry/log.ts";
import { readVersion } from "./version.ts";

/** Why the control plane cannot start, in one line for the user. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** A running control plane. */
export interface ControlPlane {
  /** `host:port` of each bound address. */
  readonly adminAddresses: readonly string[];
  readonly syncAddresses: readonly string[];
  /** Whether nodes have to show certificates. */
  readonly isSyncSecured: boolean;
  /**
   * A join token for a node that this process starts itself.
   * Errors: rejects where there are none; the control plane says why.
   */
  makeJoinToken(): Promise<string>;
  /** Accepts no more, finishes what is under way (at most 10 s), and closes the store. */
  close(): Promise<void>;
}

/**
 * Builds a control plane of its parts and starts it: store, admin, sync hub, faces, listener.
 * Errors: StartError.
 */
export async function startControlPlane(options: ControlPlaneOptions, log: Log): Promise<ControlPlane> {
  const closers: (() => Promise<void>)[] = [];
  // What was opened last depends on what was opened before it.
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const store = await openSqliteStore({
      path: options.storePath,
      secretKeyPath: options.secretKeyPath,
      logError: (error) => log.error({ err: error }, "the store met a problem"),
      historyFloor: rolloutHistoryFloor,
    });
    closers.push(() => store.close());
    // Before anything is written: what nodes are to have is read from what was written so far.
    const rollouts = await openRollouts({ store, clock: systemClock, log });
    closers.push(async () => rollouts.close());
    closers.push(startTimedWork(options, store, log));
    const identity = await openSyncIdentity({ mode: options.syncIdentity, store, clock: systemClock, log });
    closers.push(async () => identity.close());
    const { identities } = identity;
    const hub = await startHub(options, { store, identity, rollouts, log });
    closers.push(() => hub.close());
    const driver = new RolloutDriver({ rollouts, fleet: hub.fleet, clock: systemClock, log });
    closers.push(async () => driver.close());
    const shutdown = new AbortController();
    const listener = await startFaces(options, { store, hub, identities, driver, log, shutdown: shutdown.signal });
    closers.push(() => {
      // Ends the calls that would go on for ever, so that closing waits for the others only.
      shutdown.abort();
      return listener.close();
    });
    const syncAddresses = hub.addresses.map(formatAddress);
    for (const address of listener.addresses) log.info({ address }, "the admin port is open");
    for (const address of syncAddresses) log.info({ address }, "the sync port is open");
    return {
      adminAddresses: listener.addresses,
      syncAddresses,
      isSyncSecured: identity.secured !== null,
      makeJoinToken: () => makeJoinToken(identities),
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    const isForTheUser = [StoreLockedError, StoreUnusableError, ListenError, OwnPkiError].some(
      (kind) => error instanceof kind,
    );
    if (isForTheUser) throw new StartError((error as Error).message, { cause: error });
    throw error;
  }
}

async function makeJoinToken(identities: NodeIdentities): Promise<string> {
  const made = await identities.makeToken({ ttlMs: tokenTtlDefaultMs, labels: {}, nodeId: "" });
  if (!made.ok) throw new StartError(made.problem);
  return made.value.text;
}

interface Parts {
  readonly store: Store;
  readonly hub: SyncHub;
  readonly identities: NodeIdentities;
  readonly driver: RolloutDriver;
  readonly log: Log;
  readonly shutdown: AbortSignal;
}

async function startFaces(options: ControlPlaneOptions, parts: Parts): Promise<AdminListener> {
  const { store, hub, identities, driver, log, shutdown } = parts;
  const rollouts = new RolloutAdmin(driver, hub.fleet);
  const { fleet } = hub;
  /** Complete before the first write can come: it comes through the listener. */
  let bound = hub.addresses.map(formatAddress);
  const lookups = new NameLookups({ lookUp: lookup, clock: systemClock });
  const admin = openAdmin(orderedStore(store, driver.rollouts), Date.now, () => ownAddresses(bound), lookups, {
    whoLacks: (capability) => fleet.whoLacks(capability),
  });
  const health = healthReader(store.image, hub.views);
  const traffic = trafficReader(health, new TrafficMerges({ views: hub.traffic, clock: systemClock }));
  const clock = { monotonicMs: () => performance.now(), unixMs: Date.now };
  const access = secretAccess(options.areSecretsInLists);
  const configuration = {
    database: "sqlite",
    admin_listen: [formatAddress(options.adminListen)],
    cluster_listen: hub.addresses.map(formatAddress),
  };
  const identity = { nodeId: uuidOf(store.epoch.id), hostname: hostname(), version: readVersion(), configuration };
  const listener = await startAdminListener({
    listens: [options.adminListen],
    adminHosts: options.adminHosts,
    rest: restFace({
      admin,
      fleet,
      store,
      health,
      traffic,
      identity,
      identities,
      rollouts,
      clock,
      log,
      secretAccess: access,
    }),
    rpc: lazyRpcFace({
      ...{ admin, fleet, store, health, identities, views: hub.views, traffic, trafficViews: hub.traffic },
      ...{ rollouts, log, shutdown, secretAccess: access },
    }),
    log,
  });
  bound = [...bound, ...listener.addresses];
  return listener;
}

/** What happens by the clock; returns the way to stop it. */
function startTimedWork({ ticketKeyRotationMs }: ControlPlaneOptions, store: Store, log: Log): () => Promise<void> {
  const clock = systemClock;
  const stopRotation = startTicketKeyRotation({ store, clock, rotationMs: ticketKeyRotationMs, log });
  const stopExpiryLog = startExpiryLog({ image: store.image, clock, log });
  const stopQuarantineCompletion = startQuarantineCompletion({ store, log });
  const stopOverrideExpiry = startOverrideExpiry({ store, clock, log });
  return async () => {
    stopOverrideExpiry();
    stopQuarantineCompletion();
    stopRotation();
    stopExpiryLog();
  };
}

interface HubParts {
  readonly store: Store;
  readonly identity: SyncIdentity;
  readonly rollouts: Rollouts;
  readonly log: Log;
}

async function startHub(options: ControlPlaneOptions, parts: HubParts): Promise<SyncHub> {
  const { store, identity, rollouts, log } = parts;
  const { syncListen, nodeStaleAfterMs: staleAfterMs, nodeForgetAfterMs: forgetAfterMs } = options;
  const { host, port, twinHost } = syncListen;
  const listen = [{ host, port }, ...(twinHost === undefined ? [] : [{ host: twinHost, port }])];
  try {
    const { secured } = identity;
    const quarantine = new QuarantineKeeper({ store, clock: systemClock, log });
    return await startSyncHub({
      store,
      listen,
      rollouts,
      log,
      quarantine,
      staleAfterMs,
      forgetAfterMs,
      ...(secured === null ? {} : { secured }),
    });
  } catch (error) {
    throw listenError({ host, port }, error);
  }
}

function formatAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The store's own id, as the uuid that clients know this control plane by. */
function uuidOf(id: Uint8Array): string {
  return Buffer.from(id)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
