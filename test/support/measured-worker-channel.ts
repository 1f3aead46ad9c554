import type { BroadcastChannel } from "node:worker_threads";

export const channelName = "measured-workers";

/** What a worker measures from "begin" to "end". */
export interface MeasuredStalls {
  /** The longest delay of its event loop. */
  readonly delayMaxMs: number;
  /** The same without the time in which it had no core to run on. */
  readonly heldMaxMs: number;
  /** The longest collection of garbage. */
  readonly collectionMaxMs: number;
}

export type MeasuredMessage = "begin" | "end" | MeasuredStalls;

/** Asks all workers, each of which answers once; resolves when so many have, with the worst of them. */
export function askWorkers(
  channel: BroadcastChannel,
  question: "begin" | "end",
  workerCount: number,
): Promise<MeasuredStalls> {
  const answers: MeasuredStalls[] = [];
  const worst = (read: (one: MeasuredStalls) => number) => Math.max(...answers.map(read));
  return new Promise((resolve) => {
    channel.onmessage = (event) => {
      const { data } = event as unknown as { readonly data: MeasuredMessage };
      if (typeof data === "string") return;
      if (answers.push(data) < workerCount) return;
      resolve({
        delayMaxMs: worst((one) => one.delayMaxMs),
        heldMaxMs: worst((one) => one.heldMaxMs),
        collectionMaxMs: worst((one) => one.collectionMaxMs),
      });
    };
    channel.postMessage(question);
  });
}
