/**
 * Loaded into a process before its own code (`node --import`): holds a part of it up for ever while it starts, once it has
 * printed {"msg":"held","pid":...}. PENSTOCK_TEST_HOLD says which: "store", the thread of the control plane's store, or
 * "data-plane", the whole process; "further-data-plane", that of each one but the first of a state folder. Not in TypeScript: it is loaded where nothing strips types.
 */
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

const held = process.env["PENSTOCK_TEST_HOLD"];
const isDataPlane = process.argv[2] === "data-plane";

// Not by process.stdout, which goes by the main thread.
const tell = () => writeSync(1, `${JSON.stringify({ msg: "held", pid: process.pid })}\n`);

if (held === "store" && !isMainThread && !isDataPlane) {
  tell();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
const isFurther = held === "further-data-plane" && existsSync(join(process.env["PENSTOCK_STATE_DIR"], "data-plane"));
if (isDataPlane && isMainThread && (held === "data-plane" || isFurther)) {
  tell();
  // What would otherwise be found to have nothing left to do.
  setInterval(() => {}, 60_000);
  await new Promise(() => {});
}
