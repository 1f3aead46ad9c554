/**
 * Nodes in a process of their own: one real sync client, which checks all that it is sent and serves it at once, and
 * many that only keep what names it (`FleetNode`). Started by `SimulatedFleet`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { pino } from "pino";
import { nodeCapabilities } from "../../data-plane/capabilities.ts";
import type { ReceivedSnapshot } from "../../data-plane/snapshot/apply-snapshot.ts";
import { startSyncClient } from "../../data-plane/sync/sync-client.ts";
import { FleetNode } from "./fleet-node.ts";

/** What came to the nodes since they were last counted. */
export interface FleetCounts {
  /** Most and least that one node was sent, deltas and whole snapshots. */
  readonly mostPushes: number;
  readonly leastPushes: number;
  /** Most that one node was sent within any second. */
  readonly mostPushesPerSecond: number;
  readonly wholeCount: number;
  readonly refusalCount: number;
  /** Times that one was told to come again later. */
  readonly turnedAwayCount: number;
  /** Different states that they serve now: 1 when all serve the same. */
  readonly stateCount: number;
  /** Of what they serve now, all bodies together. */
  readonly contentBytes: number;
  /** Of the process since its start. */
  readonly cpuMs: number;
}

type Awaited = "in-sync" | "disconnected";

type Order =
  | { readonly type: "open"; readonly address: string; readonly nodeCount: number }
  | { readonly type: "await"; readonly awaited: Awaited }
  | { readonly type: "count" };

/** The fleet as its process's parent sees it. */
export class SimulatedFleet {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts the process; its nodes connect from now on. @param address host:port of the control plane */
  static async open(address: string, nodeCount: number): Promise<SimulatedFleet> {
    const fleet = new SimulatedFleet(fork(import.meta.filename));
    await fleet.#order({ type: "open", address, nodeCount });
    return fleet;
  }

  /** Resolves when all nodes are in that state at once: they serve the newest that they know of, or have no stream. */
  async all(awaited: Awaited): Promise<void> {
    await this.#order({ type: "await", awaited });
  }

  async count(): Promise<FleetCounts> {
    return (await this.#order({ type: "count" })) as FleetCounts;
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** One at a time. Errors: rejects when the process ends. */
  async #order(order: Order): Promise<unknown> {
    const over = new AbortController();
    const ended = once(this.#child, "exit", { signal: over.signal }).then(() => {
      throw new Error("the fleet's process ended");
    });
    const answered = once(this.#child, "message", { signal: over.signal });
    this.#child.send(order);
    try {
      return ((await Promise.race([answered, ended])) as unknown[])[0];
    } finally {
      over.abort();
      await Promise.allSettled([answered, ended]);
    }
  }
}

/** The real one among them. */
class CheckingNode {
  served: ReceivedSnapshot | null = null;
  isConnected = false;
  isInSync = false;

  constructor(id: string, address: string, onChange: () => void) {
    const client = startSyncClient({
      controlPlanes: [address],
      hello: {
        nodeId: id,
        hostname: "checking",
        build: "b",
        capabilities: nodeCapabilities,
        labels: {},
        workerCount: 1,
      },
      holding: () => this.served,
      apply: async (snapshot) => {
        this.served = snapshot;
        return { ok: true };
      },
      log: pino({ level: "silent" }),
      onState: ({ connection, newestPublication }) => {
        this.isConnected = connection === "connected";
        this.isInSync = this.isConnected && this.served !== null && this.served.publication >= newestPublication;
        onChange();
      },
      onApplied: () => {
        this.isInSync = this.isConnected && (this.served?.publication ?? 0) >= client.state.newestPublication;
        onChange();
      },
    });
  }
}

/** The fleet within its process. */
class FleetProcess {
  readonly #checking: CheckingNode;
  readonly #nodes: readonly FleetNode[];
  #awaited: Awaited | null = null;
  #isLookDue = false;

  constructor(address: string, nodeCount: number) {
    const onChange = () => this.#look();
    this.#checking = new CheckingNode(nodeId(0), address, onChange);
    this.#nodes = Array.from({ length: nodeCount - 1 }, (_, i) => new FleetNode(nodeId(i + 1), address, onChange));
    for (const node of this.#nodes) node.connect();
  }

  whenAll(awaited: Awaited): void {
    this.#awaited = awaited;
    this.#look();
  }

  count(): FleetCounts {
    const nodes = this.#nodes;
    const sum = (of: (node: FleetNode) => number) => nodes.reduce((total, node) => total + of(node), 0);
    const { user, system } = process.cpuUsage();
    const states = [this.#checking.served, ...nodes.map(({ held }) => held)].map(
      (state) => `${state?.publication} ${Buffer.from(state?.stateHash ?? []).toString("hex")}`,
    );
    const counts: FleetCounts = {
      mostPushes: Math.max(...nodes.map(({ pushCount }) => pushCount)),
      leastPushes: Math.min(...nodes.map(({ pushCount }) => pushCount)),
      mostPushesPerSecond: Math.max(...nodes.map(({ mostPushesPerSecond }) => mostPushesPerSecond)),
      wholeCount: sum(({ wholeCount }) => wholeCount),
      refusalCount: sum(({ refusalCount }) => refusalCount),
      turnedAwayCount: sum(({ turnedAwayCount }) => turnedAwayCount),
      stateCount: new Set(states).size,
      contentBytes: this.#checking.served?.entities.reduce((bytes, { body }) => bytes + body.length, 0) ?? 0,
      cpuMs: (user + system) / 1_000,
    };
    for (const node of nodes) node.forgetCounts();
    return counts;
  }

  /** Once per turn, and only while somebody waits: a thousand nodes change at once. */
  #look(): void {
    if (this.#awaited === null || this.#isLookDue) return;
    this.#isLookDue = true;
    setImmediate(() => {
      this.#isLookDue = false;
      const isThere =
        this.#awaited === "in-sync"
          ? (node: { isInSync: boolean }) => node.isInSync
          : (node: { isConnected: boolean }) => !node.isConnected;
      if (![this.#checking, ...this.#nodes].every(isThere)) return;
      this.#awaited = null;
      process.send?.("reached");
    });
  }
}

function nodeId(i: number): string {
  return `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;
}

if (process.argv[1] === import.meta.filename) {
  let fleet: FleetProcess | null = null;
  process.on("message", (order: Order) => {
    if (order.type === "open") {
      fleet = new FleetProcess(order.address, order.nodeCount);
      process.send?.("opened");
    } else if (order.type === "await") fleet!.whenAll(order.awaited);
    else process.send?.(fleet!.count());
  });
  process.on("disconnect", () => process.exit());
}
