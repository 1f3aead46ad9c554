/**
 * Loaded into a process before its own code (`node --import`): holds a part of it up for ever while it starts, once it has
 * printed {"msg":"held","pid":...}. PENSTOCK_TEST_HOLD says which: "store", the thread of the control plane's store, or
 * "data-plane", the whole process. Not in TypeScript: it is loaded where nothing strips types.
 */
import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const held = process.env["PENSTOCK_TEST_HOLD"];
const isDataPlane = process.argv[2] === "data-plane";

// Not by process.stdout, which goes by the main thread.
const tell = () => writeSync(1, `${JSON.stringify({ msg: "held", pid: process.pid })}\n`);

if (held === "store" && !isMainThread && !isDataPlane) {
  tell();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
if (held === "data-plane" && isDataPlane) {
  tell();
  // What would otherwise be found to have nothing left to do.
  setInterval(() => {}, 60_000);
  await new Promise(() => {});
}
