/**
 * Loaded into a process before its own code (`node --import`): at SIGUSR2 it prints one line of JSON with how long its
 * main thread's event loop was held up since the last such line (`LoopDelay` in measured-control-plane.ts). Not in
 * TypeScript: stripping types would cost 16 MB in each thread of a process whose memory is measured.
 */
import { isMainThread } from "node:worker_threads";

const tickMs = 2;

if (isMainThread) watch();

function watch() {
  let delays = [];
  let lastMs = performance.now();
  let sinceMs = lastMs;
  setInterval(() => {
    const nowMs = performance.now();
    delays.push(Math.max(0, nowMs - lastMs - tickMs));
    lastMs = nowMs;
  }, tickMs).unref();
  process.on("SIGUSR2", () => {
    const nowMs = performance.now();
    const sorted = delays.sort((left, right) => left - right);
    const delay = {
      msg: "loop delay",
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      momentP99Ms: momentQuantileMs(sorted, (nowMs - sinceMs) * 0.01),
      maxMs: sorted.at(-1) ?? 0,
    };
    process.stdout.write(`${JSON.stringify(delay)}\n`);
    delays = [];
    lastMs = performance.now();
    sinceMs = lastMs;
  });
}

/**
 * The wait that is exceeded at the moments of `exceededMs` in all: whoever comes while the loop is held up for d more
 * milliseconds waits for d, so that a stall of b has max(0, b - x) of moments that wait longer than x.
 * @param {readonly number[]} ascending
 * @param {number} exceededMs
 */
function momentQuantileMs(ascending, exceededMs) {
  let sumMs = 0;
  for (let count = 1; count <= ascending.length; count++) {
    const stallMs = ascending[ascending.length - count];
    const nextMs = ascending[ascending.length - count - 1] ?? 0;
    sumMs += stallMs;
    if (sumMs - count * nextMs >= exceededMs) return Math.max(0, (sumMs - exceededMs) / count);
  }
  return 0;
}
