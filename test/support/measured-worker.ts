import { monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { BroadcastChannel } from "node:worker_threads";
import { leaveOutWaitsForCore, threadTimes } from "./clock-with-a-core.ts";
import { channelName, type MeasuredMessage, type MeasuredStalls } from "./measured-worker-channel.ts";

/**
 * A traffic worker that also measures how late its event loop is, and why: see measured-worker-channel.ts. Its own clock
 * leaves out the time in which it had no core: its slices are as long as what is done in them, collections and all.
 */
leaveOutWaitsForCore();
const resolutionMs = 1;
/** Less than a loop sleeps until a timer is due; it may look for events without sleeping. */
const sleepMinMs = 0.1;
const delays = monitorEventLoopDelay({ resolution: resolutionMs });
let collectionMaxMs = 0;
const look = (entries: readonly PerformanceEntry[]) => {
  for (const { duration } of entries) collectionMaxMs = Math.max(collectionMaxMs, duration);
};
const collections = new PerformanceObserver((list) => look(list.getEntries()));
collections.observe({ entryTypes: ["gc"] });

/** By the clock that leaves out waits for a core: how much later than it should the loop comes to a timer. */
let heldMaxMs = 0;
let looked = takeLook();
let looks: NodeJS.Timeout | undefined;
function takeLook() {
  return { atMs: performance.now(), idleMs: performance.eventLoopUtilization().idle, ...threadTimes() };
}
function lookAgain(): void {
  const last = looked;
  looked = takeLook();
  const heldMs = looked.atMs - last.atMs - resolutionMs;
  // Where it had no turn but the one after it slept in its loop, it ran all the rest: what is more the hypervisor took.
  const sleepCount = looked.idleMs - last.idleMs >= sleepMinMs ? 1 : 0;
  const isRunOnly = looked.turnCount - last.turnCount <= sleepCount;
  heldMaxMs = Math.max(heldMaxMs, isRunOnly ? Math.min(heldMs, looked.ranMs - last.ranMs) : heldMs);
}

const channel = new BroadcastChannel(channelName);
channel.onmessage = (event) => {
  const { data } = event as unknown as { readonly data: MeasuredMessage };
  if (data === "begin") {
    delays.reset();
    delays.enable();
    collectionMaxMs = 0;
    heldMaxMs = 0;
    looked = takeLook();
    looks = setInterval(lookAgain, resolutionMs);
    channel.postMessage({ delayMaxMs: 0, heldMaxMs: 0, collectionMaxMs: 0 } satisfies MeasuredStalls);
  }
  if (data === "end") {
    // What is measured is the time between two looks, which are to be so far apart.
    const delayMaxMs = Math.max(delays.max / 1e6 - resolutionMs, 0);
    delays.disable();
    clearInterval(looks);
    lookAgain();
    look(collections.takeRecords());
    channel.postMessage({ delayMaxMs, heldMaxMs, collectionMaxMs } satisfies MeasuredStalls);
  }
};
channel.unref();

await import("../../data-plane/worker.ts");
