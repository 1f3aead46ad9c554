import type { ApplyOutcome, ReceivedSnapshot, Refusal } from "../../data-plane/snapshot/apply-snapshot.ts";
import { decodeSnapshotBytes, encodeSnapshotBytes } from "../../data-plane/snapshot/snapshot-bytes.ts";
import type { HeldSnapshot } from "../../data-plane/sync/held-snapshots.ts";
import type { Reach } from "../../data-plane/sync/reach-address.ts";
import { startSyncClient } from "../../data-plane/sync/sync-client.ts";
import type { NodeStream, SyncStreamOptions } from "../../data-plane/sync/sync-stream.ts";
import type { Random, SimulatedProcess, SimulatedTime } from "./simulated-time.ts";

export interface SimulatedNodeOptions {
  readonly id: string;
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly addresses: readonly string[];
  readonly log: object;
  readonly openStream: (node: SimulatedNode, client: SyncStreamOptions) => NodeStream;
  readonly reach: (node: SimulatedNode) => Reach;
  /** Why the node cannot live with a snapshot; null: it can. */
  readonly refusal: (snapshot: ReceivedSnapshot) => Refusal | null;
  /** It serves something else than before. */
  readonly onServed: (
    node: SimulatedNode,
    snapshot: ReceivedSnapshot,
    how: "applied" | "went back" | "restored",
  ) => void;
  /** A planted fault: it says that a snapshot is served before it is. */
  readonly acksTooEarly: boolean;
}

/** A data plane: its real sync client, workers that take their time, and a disk that outlives it. */
export class SimulatedNode {
  readonly id: string;
  readonly #options: SimulatedNodeOptions;
  process: SimulatedProcess;
  served: ReceivedSnapshot | null = null;
  /** What it refused or gave up, by its own will: not to be expected to be served. */
  readonly refused = new Set<string>();
  #before: ReceivedSnapshot | null = null;
  #withdrawn: string | null = null;
  #isApplying = false;
  /** The generations on disk, newest first; made into bytes where they are read, which few of them are. */
  #files: ReceivedSnapshot[] = [];

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    this.id = options.id;
    this.process = options.time.startProcess();
    this.process.kill();
  }

  /** Starts with what is on disk. */
  start(): void {
    const { time, random, id, addresses, log, openStream, reach } = this.#options;
    this.process = time.startProcess();
    this.#before = null;
    this.#withdrawn = null;
    this.#isApplying = false;
    const restored = this.#readDisk();
    this.served = null;
    if (restored !== null) this.#serve(restored.snapshot, "restored");
    startSyncClient({
      controlPlanes: addresses,
      hello: { nodeId: id, hostname: id, build: "b", capabilities: ["delta.v1"], labels: {}, workerCount: 1 },
      holding: () => this.served,
      restored,
      apply: (snapshot) => this.#apply(snapshot),
      onApplied: (snapshot) => this.#keep(snapshot),
      openStream: (client) => openStream(this, client),
      reach: reach(this),
      // So often that rollouts go from stage to stage while everything breaks.
      ...{ stats: async () => ({ requestCount: 0n }), statsMs: 500 },
      log: log as never,
      clock: this.process.clock,
      random,
    });
  }

  /** As `kill -9`. */
  kill(): void {
    this.process.kill();
  }

  /** The workers die of what they serve. */
  goBack(): boolean {
    if (this.#isApplying || this.#before === null || this.served === null) return false;
    this.#withdrawn = nameOf(this.served);
    this.refused.add(this.#withdrawn);
    const newest = this.#readDisk();
    if (newest !== null && nameOf(newest.snapshot) === this.#withdrawn) this.#files.shift();
    this.#serve(this.#before, "went back");
    this.#before = null;
    return true;
  }

  async #apply(snapshot: ReceivedSnapshot): Promise<ApplyOutcome> {
    const { random, refusal, acksTooEarly } = this.#options;
    const takesMs = (random() < 0.2 ? 2_500 : 30) * random();
    const { process } = this;
    this.#isApplying = true;
    if (!acksTooEarly) await new Promise<void>((resolve) => process.clock.after(takesMs, resolve));
    this.#isApplying = false;
    const refused = this.#withdrawn === nameOf(snapshot) ? refusalOf("workers_lost") : refusal(snapshot);
    if (refused !== null) {
      this.refused.add(nameOf(snapshot));
      return { ok: false, refusal: refused };
    }
    const serve = () => {
      this.#before = this.served;
      this.#serve(snapshot, "applied");
    };
    if (acksTooEarly) process.clock.after(takesMs, serve);
    else serve();
    return { ok: true };
  }

  #serve(snapshot: ReceivedSnapshot, how: "applied" | "went back" | "restored"): void {
    this.served = snapshot;
    this.#options.onServed(this, snapshot, how);
  }

  /** Durable a while later, or never when the process ends first. */
  #keep(snapshot: ReceivedSnapshot): void {
    this.process.clock.after(300 * this.#options.random(), () => {
      this.#files = [snapshot, ...this.#files].slice(0, 2);
    });
  }

  #readDisk(): HeldSnapshot | null {
    const [file] = this.#files;
    if (file === undefined) return null;
    const decoded = decodeSnapshotBytes(Buffer.concat([...encodeSnapshotBytes(file)]));
    if (!decoded.ok) throw new Error(`what was written cannot be read: ${decoded.problem}`);
    return decoded;
  }
}

/** Of a publication, across epochs. */
export function nameOf({ epoch, publication }: Pick<ReceivedSnapshot, "epoch" | "publication">): string {
  return `${epoch.counter}/${publication}`;
}

/** @param entityId of an upstream; "" for none */
export function refusalOf(reason: string, entityId = ""): Refusal {
  return {
    reason,
    entityKind: entityId === "" ? "" : "upstream",
    entityId,
    entityName: "",
    field: "",
    message: "as simulated",
  };
}
