/**
 * Loaded into a data plane before its own code (`node --import`): its traffic workers throw soon after they have begun
 * for as long as the file that PENSTOCK_TEST_CRASH_FILE names is there and empty. Where it says "throw" or "memory" it is the
 * main thread that does, or that takes memory without end. Not in TypeScript, as loop-delay-preload.mjs.
 */
import { existsSync, readFileSync } from "node:fs";
import { isMainThread, workerData } from "node:worker_threads";

const file = process.env.PENSTOCK_TEST_CRASH_FILE;
const isTrafficWorker = typeof workerData === "object" && workerData !== null && "endpointTable" in workerData;

const defect = () => new Error("a defect that this configuration brings about");

if (file !== undefined && (isTrafficWorker || isMainThread)) {
  setInterval(() => {
    const said = existsSync(file) ? readFileSync(file, "utf8") : null;
    if (said === "" && isTrafficWorker) throw defect();
    if (said === "throw" && isMainThread) throw defect();
    if (said === "memory" && isMainThread) for (const all = []; ; ) all.push({ all });
  }, 20).unref();
}
