import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type EncodedPush, encodeDelta, encodeSnapshot } from "../../control-plane/snapshot/encode-snapshot.ts";
import { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { stateHashOf } from "../../proto/state-hash.ts";
import { seededRandom } from "../../test/simulation/simulated-time.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { ReceivedSnapshot, SnapshotEntity } from "../snapshot/apply-snapshot.ts";
import { SnapshotInbox } from "./snapshot-inbox.ts";

const epochCount = 4;
const publicationCount = 500;
const offerCount = 10_000;
const entityCount = 6;

interface Published {
  readonly epoch: { readonly counter: number; readonly id: Buffer };
  readonly publication: number;
  readonly entities: readonly SnapshotEntity[];
  readonly stateHash: Uint8Array;
}

/** Every state that there ever was, in order; each changes one entity of the one before. */
function history(): Published[] {
  const published: Published[] = [];
  for (let counter = 1; counter <= epochCount; counter++) {
    const epoch = { counter, id: Buffer.alloc(16, counter) };
    const entities = Array.from({ length: entityCount }, (_, i) => ({
      kind: "upstream",
      id: `u${i}`,
      body: Buffer.of(counter),
    }));
    for (let publication = 1; publication <= publicationCount; publication++) {
      entities[publication % entityCount] = {
        ...{ kind: "upstream", id: `u${publication % entityCount}` },
        body: Buffer.from(`${counter}/${publication}`),
      };
      published.push({ epoch, publication, entities: [...entities], stateHash: stateHashOf(entities) });
    }
  }
  return published;
}

function whole(state: Published): EncodedPush {
  return encodeSnapshot({ ...state, revision: state.publication });
}

/** From some publications before, as one change at a time adds up. */
function delta(states: readonly Published[], index: number, stepCount: number): EncodedPush {
  const state = states[index]!;
  const base = states[index - stepCount];
  if (base === undefined || base.epoch !== state.epoch) return whole(state);
  const upserts = state.entities.filter((entity, i) => entity.body !== base.entities[i]!.body);
  return encodeDelta({
    ...state,
    revision: state.publication,
    basePublication: base.publication,
    upserts,
    deletes: [],
  });
}

describe("row 20: SnapshotInbox", () => {
  it(`applies nothing stale of ${offerCount} snapshots and deltas, shuffled, some of them several times`, async () => {
    const random = seededRandom(20);
    const states = history();
    // Mostly near its own time, at times from long before, so that there is always something new and something old.
    const offers = Array.from({ length: offerCount }, (_, i) => {
      const at = Math.floor((i / offerCount) * states.length + (random() - 0.5) * 40);
      const near = Math.min(states.length - 1, Math.max(0, at));
      const index = random() < 0.2 ? Math.floor(random() * (near + 1)) : near;
      return random() < 0.5 ? whole(states[index]!) : delta(states, index, 1 + Math.floor(random() * 3));
    });
    const applied: ReceivedSnapshot[] = [];
    const answers = { ack: 0, nack: 0 };
    const inbox = new SnapshotInbox({
      restored: null,
      holding: () => applied.at(-1) ?? null,
      apply: async (snapshot) => {
        for (let turns = Math.floor(random() * 6); turns > 0; turns--) await Promise.resolve();
        applied.push(snapshot);
        return { ok: true };
      },
      limits: { entityMaxCount: 100, bodyBytesMax: 10_000 },
      clock: new ManualClock(),
      onAck: () => answers.ack++,
      onNack: () => answers.nack++,
      onApplied: () => {},
      onError: (error) => expect.unreachable(String(error)),
    });
    let deltaCount = 0;
    for (const offer of [...offers, whole(states.at(-1)!)]) {
      const before = applied.length;
      for (const bytes of offer.messages) {
        inbox.receive(fromBinary(ConnectResponseSchema, new Uint8Array(bytes)).message);
        if (random() < 0.3) await Promise.resolve();
      }
      if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve));
      if (offer.basePublication !== null && applied.length > before) deltaCount++;
    }
    await new Promise((resolve) => setImmediate(resolve));

    const order = applied.map(({ epoch, publication }) => epoch.counter * 10_000 + publication);
    expect(order).toEqual([...new Set(order)].sort((left, right) => left - right));
    for (const { epoch, publication, entities } of applied) {
      const state = states[(epoch.counter - 1) * publicationCount + publication - 1]!;
      expect(entities.map(({ body }) => Buffer.from(body))).toEqual(state.entities.map(({ body }) => body));
    }
    expect(applied.at(-1)).toMatchObject({ epoch: { counter: epochCount }, publication: publicationCount });
    for (const count of [applied.length, deltaCount, answers.ack, answers.nack]) expect(count).toBeGreaterThan(100);
  });
});
