/**
 * Loaded into a data plane before its own code (`node --import`): its traffic workers throw soon after they have begun
 * for as long as the file that PENSTOCK_TEST_CRASH_FILE names is there and empty, and whenever one connects to the port
 * PENSTOCK_TEST_CRASH_PORT. Where the file says "throw" or "memory" it is the main thread that does, or that takes memory
 * without end. Not in TypeScript, as loop-delay-preload.mjs.
 */
import { existsSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { isMainThread, workerData } from "node:worker_threads";

const file = process.env.PENSTOCK_TEST_CRASH_FILE;
const port = process.env.PENSTOCK_TEST_CRASH_PORT;
const isTrafficWorker = typeof workerData === "object" && workerData !== null && "endpointTable" in workerData;

const crash = () => {
  throw new Error("a defect that this configuration brings about");
};

if (file !== undefined && (isTrafficWorker || isMainThread)) {
  setInterval(() => {
    const said = existsSync(file) ? readFileSync(file, "utf8") : null;
    if (said === "" && isTrafficWorker) crash();
    if (said === "throw" && isMainThread) crash();
    if (said === "memory" && isMainThread) for (const all = []; ; ) all.push({ all });
  }, 20).unref();
}

if (isTrafficWorker && port !== undefined) {
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function (place, ...more) {
    // Outside of the connection, where nobody catches it.
    if (place.port === Number(port)) setImmediate(crash);
    return connect.call(this, place, ...more);
  };
}
