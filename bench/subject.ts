import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";

/** A proxy to be measured: ours or a peer. */
export interface Subject {
  readonly name: string;
  /** Its version, or null when it is not on this machine. */
  version(): string | null;
  /** Starts it in front of the targets, pinned to the proxy's core, and waits until it listens. */
  start(setup: SubjectSetup): Promise<RunningSubject>;
}

export interface SubjectSetup {
  readonly targetPorts: readonly [number, number];
  readonly targetWeights: readonly [number, number];
  /** A free port, for subjects that cannot choose one themselves. */
  readonly listenPort: number;
  /** An empty folder of the subject's own. */
  readonly folder: string;
  readonly cores: Cores;
}

export interface RunningSubject {
  readonly port: number;
  /** Root of the process tree whose CPU time counts. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Which core carries what; null = not pinned (a single core, or no taskset). */
export interface Cores {
  readonly proxy: number | null;
  readonly load: number | null;
}

const startTimeoutMs = 20_000;

/** The command, run on the core: taskset turns into it, so the process id is the command's own. */
export function pinned(core: number | null, command: readonly string[]): [string, string[]] {
  const words = core === null ? command : ["taskset", "-c", String(core), ...command];
  return [words[0]!, words.slice(1)];
}

const running = new Set<ChildProcess>();
// A bench that is interrupted or fails must not leave proxies behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process that ends with the bench, with what it last wrote at hand for when it fails. */
export class BenchProcess {
  readonly child: ChildProcess;
  readonly #command: string;
  #output = "";

  constructor(
    core: number | null,
    command: readonly string[],
    options: { cwd?: string; env?: Record<string, string> },
  ) {
    const [file, args] = pinned(core, command);
    this.#command = command.join(" ");
    this.child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this.child);
    this.child.once("close", () => running.delete(this.child));
    this.child.once("error", (error) => this.#keep(`${error.message}\n`));
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => this.#keep(text));
    }
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get hasEnded(): boolean {
    return this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The first value that `read` finds in the output. Errors: rejects when the process ends or takes too long. */
  async outputWith<T>(read: (output: string) => T | null): Promise<T> {
    return this.#poll(async () => read(this.#output));
  }

  /** Waits until something accepts connections on the port. */
  async listening(port: number): Promise<void> {
    await this.#poll(async () => ((await accepts(port)) ? true : null));
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.child, "close");
    this.child.kill("SIGTERM");
    const impatience = setTimeout(() => this.child.kill("SIGKILL"), 3_000);
    await ended;
    clearTimeout(impatience);
  }

  async #poll<T>(look: () => Promise<T | null>): Promise<T> {
    const deadlineMs = performance.now() + startTimeoutMs;
    while (performance.now() < deadlineMs && !this.hasEnded) {
      const found = await look();
      if (found !== null) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${this.#command} did not start; its output:\n${this.#output}`);
  }

  #keep(text: string): void {
    this.#output = (this.#output + text).slice(-64 * 1024);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** What the command prints first, or null when it cannot be run. */
export function firstLineOf(command: string, args: readonly string[]): string | null {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return error ? null : (`${stdout}${stderr}`.trim().split("\n")[0] ?? "");
}
