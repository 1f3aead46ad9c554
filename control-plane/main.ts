import { boundHeap } from "./bound-heap.ts";
import { parseOptions } from "./options.ts";
import { StartError, startControlPlane } from "./start-control-plane.ts";
import { type Log, openLog } from "./telemetry/log.ts";

/**
 * `penstock control-plane`: runs until SIGTERM, SIGINT or SIGHUP, or until the process that started it goes away.
 * Exit codes: 0 after closing, 1 for a bug or a second signal, 2 for what the user can put right.
 *
 * @param argv what follows the command's name
 */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const parsed = parseOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(parsed.lines);
  const { options } = parsed;
  boundHeap();
  const log = openLog(options.logLevel);
  endLoudlyOnBugs(log);
  const endRequested = whenEndRequested();
  try {
    const plane = await startControlPlane(options, log);
    // For programs that started us: the ports may have been free ones.
    log.info({ admin: plane.adminAddresses, sync: plane.syncAddresses }, "ready");
    log.info({ reason: await endRequested }, "closing");
    await plane.close();
    log.info("closed");
    process.exit(0);
  } catch (error) {
    if (error instanceof StartError) refuse([error.message]);
    log.fatal({ err: error }, "a bug: the control plane ends");
    process.exit(1);
  }
}

/** Nothing that a client sends may lead here; what does is a bug of ours, and the state is no longer known. */
function endLoudlyOnBugs(log: Log): void {
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "a bug: the control plane ends");
    process.exit(1);
  });
  // A promise that nobody waited for has left no state behind, as a throw out of an event may.
  process.on("unhandledRejection", (reason) => log.error({ err: reason }, "a bug: a failure that nobody handled"));
}

/** Signals of one request that come by two ways: Ctrl-C reaches the whole process group, and a parent passes its own on. */
const sameRequestMs = 500;

/** Resolves with the reason at the first request to end, whenever it comes; at the second, the process ends at once. */
function whenEndRequested(): Promise<string> {
  return new Promise((resolve) => {
    let first: { readonly signal: string; readonly atMs: number } | undefined;
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
      process.on(signal, () => {
        const isAnother =
          first !== undefined && (first.signal === signal || performance.now() - first.atMs > sameRequestMs);
        if (isAnother) process.exit(1);
        first ??= { signal, atMs: performance.now() };
        resolve(signal);
      });
    }
    // Started by another process of ours, with a channel that closes when that one dies, however it dies.
    if (process.connected) process.once("disconnect", () => resolve("the parent process is gone"));
  });
}

function refuse(lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`penstock control-plane: ${line}\n`);
  process.exit(2);
}
