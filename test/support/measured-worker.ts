import { monitorEventLoopDelay } from "node:perf_hooks";
import { BroadcastChannel, workerData } from "node:worker_threads";
import type { WorkerStart } from "../../data-plane/worker-message.ts";
import { channelName, type MeasuredDelay, type MeasuredMessage } from "./measured-worker-channel.ts";

/** A traffic worker that also measures how late its event loop is: see measured-worker-channel.ts. */
const { number } = workerData as WorkerStart;
const resolutionMs = 1;
const delays = monitorEventLoopDelay({ resolution: resolutionMs });
const channel = new BroadcastChannel(channelName);
channel.onmessage = (event) => {
  const { data } = event as unknown as { readonly data: MeasuredMessage };
  if (data === "begin") {
    delays.reset();
    delays.enable();
    channel.postMessage({ worker: number, delayMaxMs: 0 } satisfies MeasuredDelay);
  }
  if (data === "end") {
    // What is measured is the time between two looks, which are to be so far apart.
    const delayMaxMs = Math.max(delays.max / 1e6 - resolutionMs, 0);
    delays.disable();
    channel.postMessage({ worker: number, delayMaxMs } satisfies MeasuredDelay);
  }
};
channel.unref();

await import("../../data-plane/worker.ts");
