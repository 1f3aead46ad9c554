import { AsyncLocalStorage } from "node:async_hooks";
import { create, toBinary } from "@bufbuild/protobuf";
import { RolloutMode, RolloutOrderSchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { ResourceWrite, Store, TransactOutcome } from "../store/store.ts";
import { HELD_KINDS } from "./frozen-content.ts";
import type { Mode } from "./publication-ledger.ts";
import type { Rollouts } from "./rollouts.ts";

/** There is one, and nothing is read of it but that it was written, with what. */
const orderId = "00000000-0000-4000-8000-000000000004";

const triesMax = 5;

/** What the request that is being answered says of its writes. */
const orders = new AsyncLocalStorage<Mode>();

/** Runs a request whose writes are to reach the fleet in a way of their own. */
export function withOrder<T>(mode: Mode, run: () => T): T {
  return orders.run(mode, run);
}

/** What a request says by its header `Penstock-Rollout`; null where it says nothing, "invalid" where nobody knows what. */
export function readOrder(text: string | null | undefined): Mode | "invalid" | null {
  if (text == null || text === "") return null;
  return text === "staged" || text === "immediate" ? text : "invalid";
}

/**
 * The store for those who answer requests: what a request said of its writes is written with them, in one transaction,
 * so that no crash can part the two.
 */
export function orderedStore(store: Store, rollouts: Pick<Rollouts, "ensureRecord">): Store {
  return {
    epoch: store.epoch,
    image: store.image,
    transact: (writes, actor) => transactWithOrder(store, rollouts, writes, actor),
    readChanges: (after, maxCount) => store.readChanges(after, maxCount),
    onCommit: (listener) => store.onCommit(listener),
    close: () => store.close(),
  };
}

async function transactWithOrder(
  store: Store,
  rollouts: Pick<Rollouts, "ensureRecord">,
  writes: readonly ResourceWrite[],
  actor: string,
): Promise<TransactOutcome> {
  const mode = orders.getStore();
  if (mode === undefined || !writes.some(({ kind }) => HELD_KINDS.includes(kind))) return store.transact(writes, actor);
  if (mode === "staged") await rollouts.ensureRecord();
  for (let tries = 1; ; tries++) {
    const outcome = await store.transact([...writes, orderWrite(store, mode)], actor);
    // Somebody else made the first order meanwhile; what the caller has written is not to blame.
    const isOrders = !outcome.ok && "write" in outcome.conflict && outcome.conflict.write === writes.length;
    if (!isOrders || tries === triesMax) return outcome;
  }
}

/** What a write says of itself, to be written with it. */
export function orderWrite({ image }: Pick<Store, "image">, mode: Mode): ResourceWrite {
  const isThere = image.get("rollout_order", orderId) !== undefined;
  const message = create(RolloutOrderSchema, {
    id: orderId,
    mode: mode === "staged" ? RolloutMode.STAGED : RolloutMode.IMMEDIATE,
  });
  return {
    kind: "rollout_order",
    id: orderId,
    operation: isThere ? "update" : "create",
    body: toBinary(RolloutOrderSchema, message),
    expectedRevision: null,
    uniqueKeys: [],
    references: [],
  };
}
