import { type ChildProcess, fork } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { boundHeap } from "../control-plane/bound-heap.ts";
import { type ControlPlane, StartError, startControlPlane } from "../control-plane/start-control-plane.ts";
import { type Log, openLog } from "../control-plane/telemetry/log.ts";
import { parseBothPlanes } from "./both-planes-options.ts";

/** Where the data plane listens, as it says over the channel between the two processes. */
interface Ready {
  readonly msg: "ready";
  readonly proxy: readonly string[];
  readonly proxyTls: readonly string[];
  readonly status: readonly string[];
}

/** A data plane that ends by a crash is started again after this; one that cannot start is not. */
const restartAfterMs = 1_000;

/**
 * `penstock` without a command: a control plane in this process and a data plane as its child, joined by the sync
 * stream only. When this process goes away, the child's channel closes; it then drains and ends.
 * Exit codes: 0 after a graceful end, 1 for a bug or a second signal, 2 for what the user can put right, 128 and the signal's
 * number where one came before it was ready.
 */
export async function startBothPlanes(argv: readonly string[], givenEnv: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseBothPlanes(argv, givenEnv);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(parsed.lines);
  const { controlPlane: options, env } = parsed;
  boundHeap();
  const log = openLog(options.logLevel);
  const running = new RunningPlanes();
  endOnSignals(log, running);
  try {
    const controlPlane = await startControlPlane(options, log);
    running.controlPlane = controlPlane;
    const dataPlaneArguments = [
      "data-plane",
      ...parsed.dataPlaneArguments,
      `--control-plane=${reachable(controlPlane.syncAddresses[0]!)}`,
      `--sync-tls=${controlPlane.isSyncSecured ? "on" : "off"}`,
    ];
    // In its environment, where other users of the machine do not see it. Once it has joined, it needs it no more.
    const joinToken = controlPlane.isSyncSecured ? { PENSTOCK_JOIN_TOKEN: await controlPlane.makeJoinToken() } : {};
    if (running.isEnding) return;
    const dataPlane = new DataPlaneChild(dataPlaneArguments, { ...env, ...joinToken }, log);
    running.dataPlane = dataPlane;
    const ready = await dataPlane.started;
    if (running.isEnding) return;
    running.isReady = true;
    log.info({ pids: [process.pid, dataPlane.pid], admin: controlPlane.adminAddresses, ...ready }, "penstock is ready");
    greet(controlPlane.adminAddresses[0]!, ready);
  } catch (error) {
    // What fails because it is ended is no news, and whoever ends it exits.
    if (running.isEnding) return;
    if (error instanceof StartError) refuse([error.message]);
    throw error;
  }
}

/** An address that stands for all of this machine's, as one of them. */
function reachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
}

function greet(admin: string, { proxy, proxyTls, status }: Ready): void {
  const portOf = (address: string) => address.slice(address.lastIndexOf(":") + 1);
  const [proxyPort, adminPort] = [portOf(proxy[0]!), portOf(admin)];
  const overTls = proxyTls[0] === undefined ? "" : `, https://localhost:${portOf(proxyTls[0])}`;
  console.log(`
Penstock is running.
  Admin API  http://localhost:${adminPort}   (REST, gRPC, gRPC-Web, Connect)
  Proxy      http://localhost:${proxyPort}${overTls}
  Status     http://${status[0]}/status

Try:
  curl -i -X POST http://localhost:${adminPort}/services --data name=example_service --data url='http://127.0.0.1:9001'
  curl -i -X POST http://localhost:${adminPort}/services/example_service/routes --data 'paths[]=/mock' --data name=example_route
  curl http://localhost:${proxyPort}/mock/headers

'npm run targets' starts two servers to try it with. Stop with Ctrl-C.
`);
}

/** What was started so far, and the way to end it. */
class RunningPlanes {
  controlPlane: ControlPlane | null = null;
  dataPlane: DataPlaneChild | null = null;
  isReady = false;
  isEnding = false;

  async end(): Promise<void> {
    this.isEnding = true;
    // Traffic ends first: what is being answered may still be reported.
    await this.dataPlane?.end();
    await this.controlPlane?.close();
  }
}

/**
 * Node lets V8 have four threads of its own on any machine; with this, one less than there are cores. On few cores more keep
 * the workers from theirs (proof apply). What the user says comes later, and goes before it.
 */
const fewThreadsOption = "--v8-pool-size=0";

/** The data plane as a child process, started again when it crashes. */
class DataPlaneChild {
  /** Resolves when the first one is ready; rejects with a StartError when it cannot start. */
  readonly started: Promise<Ready>;
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: Log;
  #child: ChildProcess;
  /** Whether the child has said that it is ready. */
  #isReady = false;
  /** Whether one has: only the first tells by its end that none can start. */
  #wasReady = false;
  #isEnding = false;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv, log: Log) {
    this.#args = args;
    this.#env = env;
    this.#log = log;
    this.#child = this.#fork();
    this.started = new Promise((resolve, reject) => {
      this.#child.once("message", (message) => resolve(message as Ready));
      this.#child.once("exit", (code, signal) => reject(new StartError(whyNotStarted(code, signal))));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Lets it drain and waits for its end. A closed channel asks for that on every platform; a signal does not on Windows. */
  async end(): Promise<void> {
    this.#isEnding = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    // One that is still loading would not notice that its channel closes, and has nothing to drain.
    if (!this.#isReady) this.#child.kill("SIGTERM");
    if (this.#child.connected) this.#child.disconnect();
    await ended;
  }

  #fork(): ChildProcess {
    const command = fileURLToPath(
      new URL(import.meta.url.endsWith(".ts") ? "../bin/penstock.js" : "../../bin/penstock.js", import.meta.url),
    );
    const env = { ...this.#env, NODE_OPTIONS: `${fewThreadsOption} ${this.#env["NODE_OPTIONS"] ?? ""}` };
    const child = fork(command, [...this.#args], { env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#isReady = false;
    child.once("message", () => {
      this.#isReady = true;
      this.#wasReady = true;
    });
    child.once("exit", (code, signal) => {
      if (this.#isEnding || !this.#wasReady) return;
      this.#log.error({ code, signal }, "the data plane ended; starting it again");
      setTimeout(() => {
        if (!this.#isEnding) this.#child = this.#fork();
      }, restartAfterMs);
    });
    return child;
  }
}

/** @param code null where a signal ended it */
function whyNotStarted(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `the data plane was ended by ${signal} before it was ready`;
  return code === 0
    ? "the data plane was told to end before it was ready"
    : "the data plane could not start; it said why above";
}

/** Signals of one request that come by two ways: Ctrl-C reaches the whole process group, and npm passes its own on. */
const sameRequestMs = 500;

/** Ends gracefully at the first signal, at once at a second one that comes later than Ctrl-C's echo. */
function endOnSignals(log: Log, running: RunningPlanes): void {
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "a bug: the control plane ends");
    process.exit(1);
  });
  process.on("unhandledRejection", (reason) => log.error({ err: reason }, "a bug: a failure that nobody handled"));
  let firstAtMs: number | null = null;
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (firstAtMs !== null) {
        if (performance.now() - firstAtMs > sameRequestMs) process.exit(1);
        return;
      }
      firstAtMs = performance.now();
      const { isReady } = running;
      if (isReady) log.info({ reason: signal }, "closing");
      else process.stderr.write(`penstock: interrupted by ${signal} before it was ready\n`);
      running.end().then(
        () => process.exit(isReady ? 0 : 128 + constants.signals[signal]),
        (error) => {
          log.fatal({ err: error }, "closing failed");
          process.exit(1);
        },
      );
    });
  }
}

function refuse(lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`penstock: ${line}\n`);
  process.exit(2);
}
