import { type Clock, systemClock } from "../../sync/clock.ts";
import type { Fleet, NodeStatus } from "../../sync/fleet.ts";

/** What there is of a node; or that it is listed no more; or that all there was has been told. */
export type SeenNode = { readonly node: NodeStatus } | { readonly forgottenId: string } | "start-over";

/** Nodes are looked at so often, and told of at most so often. */
const intervalMs = 1_000;

/**
 * What there is of every node, or of one (null: of all), then what changes. The fleet is looked at anew each second: what
 * a session writes of its node costs nothing more for being watched, and what comes with time (a node that becomes
 * stale) is seen as well. A watcher that is slow is told of fewer looks. Ends with the signal's reason.
 *
 * Cost: some 3 ms a second for 1,000 nodes.
 */
export async function* watchNodes(
  fleet: Pick<Fleet, "nodes">,
  id: string | null,
  signal: AbortSignal,
  clock: Pick<Clock, "after"> = systemClock,
): AsyncGenerator<SeenNode> {
  const told = new Map<string, NodeStatus>();
  for (let isFirst = true; ; isFirst = false) {
    const now = new Map<string, NodeStatus>();
    for (const node of fleet.nodes()) if (id === null || node.id === id) now.set(node.id, node);
    for (const [nodeId, node] of now) {
      const before = told.get(nodeId);
      if (before !== undefined && isSame(before, node)) continue;
      told.set(nodeId, node);
      yield { node };
    }
    for (const nodeId of told.keys()) {
      if (now.has(nodeId)) continue;
      told.delete(nodeId);
      yield { forgottenId: nodeId };
    }
    if (isFirst) yield "start-over";
    await next(clock, signal);
  }
}

/** When the node was heard of last changes all the time, and says nothing by itself. */
function isSame(left: NodeStatus, right: NodeStatus): boolean {
  return (
    left.isConnected === right.isConnected &&
    left.connectedAtUnixMs === right.connectedAtUnixMs &&
    left.state === right.state &&
    seconds(left.lagMs) === seconds(right.lagMs) &&
    left.lag === right.lag &&
    left.publication === right.publication &&
    left.revision === right.revision &&
    // Both are replaced when they change, and never changed in place.
    left.stateHash === right.stateHash &&
    left.figures === right.figures &&
    left.lastNack === right.lastNack &&
    left.nackCount === right.nackCount &&
    left.applyDurationMs === right.applyDurationMs &&
    left.build === right.build &&
    isSameSkew(left, right)
  );
}

function isSameSkew({ unsupported: left }: NodeStatus, { unsupported: right }: NodeStatus): boolean {
  return (
    left.length === right.length &&
    left.every(
      ({ capability, entityCount }, i) => right[i]!.capability === capability && right[i]!.entityCount === entityCount,
    )
  );
}

/** A node that is away for good is not told of each second. */
function seconds(lagMs: number | null): number | null {
  return lagMs === null ? null : Math.floor(Math.min(lagMs, 3_600_000) / 1_000);
}

/** Resolves after the interval; rejects with the signal's reason. */
function next(clock: Pick<Clock, "after">, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(intervalMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
