import type { BroadcastChannel } from "node:worker_threads";

export const channelName = "measured-workers";

/** What a worker answers, each worker once: to "begin" with 0, to "end" with its longest delay since then. */
export interface MeasuredDelay {
  readonly worker: number;
  readonly delayMaxMs: number;
}

export type MeasuredMessage = "begin" | "end" | MeasuredDelay;

/** Asks all workers; resolves when so many have answered, with the longest delay among them. */
export function askWorkers(channel: BroadcastChannel, question: "begin" | "end", workerCount: number): Promise<number> {
  const delays: number[] = [];
  return new Promise((resolve) => {
    channel.onmessage = (event) => {
      const { data } = event as unknown as { readonly data: MeasuredMessage };
      if (typeof data === "string") return;
      delays.push(data.delayMaxMs);
      if (delays.length === workerCount) resolve(Math.max(...delays));
    };
    channel.postMessage(question);
  });
}
