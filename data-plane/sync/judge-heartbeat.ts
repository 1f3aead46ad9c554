import type { Heartbeat } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { isSameHash } from "../../proto/state-hash.ts";
import type { Holding } from "./judge-offer.ts";

/** Why the control plane that beats so has nothing for a node that holds this; null where it may have. */
export function heartbeatProblem(held: Holding | null, heartbeat: Heartbeat): string | null {
  if (held === null) return null;
  const { epoch, stateHash } = heartbeat;
  const publication = Number(heartbeat.publication);
  if (epoch !== undefined) {
    const counter = Number(epoch.counter);
    if (counter > held.epoch.counter) return null;
    if (counter < held.epoch.counter) {
      return `the control plane is of epoch ${counter}, which is older than ${held.epoch.counter}, which is held`;
    }
    if (!isSameHash(epoch.id, held.epoch.id)) {
      return `the control plane is of another store that has the same epoch counter ${counter}`;
    }
  }
  if (publication > held.publication) return null;
  if (publication === held.publication && isSameHash(stateHash, held.stateHash)) return null;
  return `the control plane has publication ${publication}, which does not follow on ${held.publication}`;
}
