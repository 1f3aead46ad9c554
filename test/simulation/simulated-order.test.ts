import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { SYNC_CLIENT_DEFAULTS } from "../../data-plane/sync/sync-client-options.ts";
import { type Ack, AckSchema, type ConnectRequest } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { SimulatedStore } from "./simulated-store.ts";
import { SimulatedStream } from "./simulated-stream.ts";
import { type Random, SimulatedTime, seededRandom } from "./simulated-time.ts";

const count = 100;
/** Odd in its last bit: as a delay from some moments it would be rounded up, from others down. */
const lateMs = 900.1;
const numbers = Array.from({ length: count }, (_, i) => i + 2);

/** Runs the first at once, and all within 500 ms. */
async function spread(time: SimulatedTime, random: Random, run: (number: number) => void): Promise<void> {
  const moments = numbers.map((_, i) => (i === 0 ? 0 : 500 * random() * random())).sort((left, right) => left - right);
  for (const [i, number] of numbers.entries()) time.after(moments[i]!, () => run(number));
  await time.runUntil(2_000, () => {});
}

/** All that is late for the first of them arrives at one moment, planned from many. */
describe("what a simulation keeps in order", () => {
  it("tells a replica of every commit in its order, however late the first of them is", async () => {
    const time = new SimulatedTime();
    const random = seededRandom(1);
    const store = new SimulatedStore(1);
    let lagMs = lateMs;
    const replica = store.replica(time.startProcess().clock, () => {
      const lag = lagMs;
      lagMs = 0;
      return lag;
    });
    const seen: number[] = [];
    replica.store.onCommit(({ publication }) => {
      expect(replica.store.image.publication).toBe(publication);
      seen.push(publication);
    });
    await spread(time, random, (number) => store.put(`u${number}`, ""));
    expect(seen).toEqual(numbers);
  });

  it("has messages arrive as they were sent, however long the stream stalls", async () => {
    const time = new SimulatedTime();
    const random = seededRandom(1);
    const seen: number[] = [];
    const [node, controlPlane] = [time.startProcess(), time.startProcess()];
    const stream = new SimulatedStream({
      ...{ time, random, node, onSent() {} },
      addressee: () => ({
        process: controlPlane,
        connect: (call) => {
          call.on("data", ({ message }: ConnectRequest) => seen.push(Number((message.value as Ack).publication)));
        },
      }),
      client: {
        ...{
          address: "a",
          clock: node.clock,
          timing: SYNC_CLIENT_DEFAULTS,
          messageMaxBytes: 1_000,
          entityMaxCount: 10,
        },
        ...{ onOpen() {}, onMessage() {}, onClose() {} },
      },
    });
    stream.stall(lateMs);
    await spread(time, random, (number) =>
      stream.send({ case: "ack", value: create(AckSchema, { publication: BigInt(number) }) }),
    );
    expect(seen).toEqual(numbers);
  });
});
