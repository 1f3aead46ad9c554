import { parseOptions } from "./options.ts";
import { StartError } from "./start-error.ts";
import { type DataPlaneNode, startNode } from "./start-node.ts";
import { type Log, openLog } from "./telemetry/log.ts";
import { tuneCompiler } from "./tune-compiler.ts";

/**
 * Runs until SIGTERM, SIGINT or, without a log file, SIGHUP, or until the process that started it goes away; then it
 * drains.
 * Exit codes: 0 after draining, 1 for a bug or a second signal, 2 for what the user can put right.
 */
export async function runNode(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(parsed.lines);
  const { options } = parsed;
  const log = openLog(options.logLevel);
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "a bug: the data plane ends");
    process.exit(1);
  });
  tuneCompiler();
  const ending = endOnRequest(log);
  // What is asked of a node that is yet to start is done once it has: whoever reads that it is ready may ask at once.
  const starting = Promise.withResolvers<DataPlaneNode>();
  const hasLogFile = !["off", "stdout"].includes(options.accessLog);
  process.on("SIGHUP", () => {
    // Without a log file it is a closing terminal, or a habit from elsewhere: neither may cut what is under way.
    if (hasLogFile) void starting.promise.then((node) => reopenLogs(node, log));
    else ending.end("SIGHUP");
  });
  replaceWorkersOnRequest(starting.promise, log);
  try {
    const node = await startNode(options, log);
    ending.started(node);
    starting.resolve(node);
    // For the process of ours that started this one: it may log nothing at this level.
    process.send?.({
      msg: "ready",
      proxy: node.proxyAddresses,
      proxyTls: node.proxyTlsAddresses,
      status: node.statusAddresses,
    });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    refuse([error.message]);
  }
}

const SAME_REQUEST_MS = 500;

/** Drains at the first request to end, whenever it comes; at the second, ends at once. */
function endOnRequest(log: Log): { started(node: DataPlaneNode): void; end(signal: string): void } {
  let node: DataPlaneNode | null = null;
  let isEnding = false;

  async function end(reason: string): Promise<void> {
    isEnding = true;
    log.info({ reason }, "draining");
    // Nothing has been served while the node is still starting.
    await node?.drain();
    log.info("drained");
    process.exit(0);
  }

  let first: { readonly signal: string; readonly atMs: number } | null = null;
  function receive(signal: string): void {
    // Ctrl-C reaches the whole process group, and a parent then passes its own signal on: that is one request.
    const isAnother = first !== null && (first.signal === signal || performance.now() - first.atMs > SAME_REQUEST_MS);
    if (isAnother) process.exit(1);
    first ??= { signal, atMs: performance.now() };
    if (!isEnding) void end(signal);
  }
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => receive(signal));
  // Started by another process of ours, with a channel that closes when that one dies, however it dies.
  if (process.connected) {
    process.once("disconnect", () => {
      if (!isEnding) void end("the parent process is gone");
    });
  }
  return {
    started(startedNode) {
      node = startedNode;
    },
    end: receive,
  };
}

/** SIGUSR2: every worker hands over to a new one, with nothing lost. Windows has no such signal. */
function replaceWorkersOnRequest(started: Promise<DataPlaneNode>, log: Log): void {
  if (process.platform === "win32") return;
  process.on("SIGUSR2", () => {
    started
      .then((node) => node.replaceWorkers("SIGUSR2"))
      .then(
        (isDone) => log.info({ isDone }, "workers replaced"),
        (error) => log.error({ err: error }, "workers not replaced"),
      );
  });
}

function reopenLogs(node: DataPlaneNode, log: Log): void {
  node.reopenLogs();
  log.info("the access log is opened again");
}

function refuse(lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`penstock data-plane: ${line}\n`);
  process.exit(2);
}
