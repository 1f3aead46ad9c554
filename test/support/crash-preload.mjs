/**
 * Loaded into a data plane before its own code (`node --import`): its traffic workers throw soon after they have begun
 * for as long as the file that PENSTOCK_TEST_CRASH_FILE names is there. Not in TypeScript, as loop-delay-preload.mjs.
 */
import { existsSync } from "node:fs";
import { workerData } from "node:worker_threads";

const file = process.env.PENSTOCK_TEST_CRASH_FILE;
const isTrafficWorker = typeof workerData === "object" && workerData !== null && "endpointTable" in workerData;

if (isTrafficWorker && file !== undefined) {
  setInterval(() => {
    if (existsSync(file)) throw new Error("a defect that this configuration brings about");
  }, 20).unref();
}
