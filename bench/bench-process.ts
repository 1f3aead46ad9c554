import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

const startTimeoutMs = 20_000;
/** What a process says when it starts lies at the beginning; an access log may follow. */
const outputReadBytes = 64 * 1024;

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

/** A process that ends with the bench. Its output goes to a file: reading a pipe would take time from the load. */
export class BenchProcess {
  readonly child: ChildProcess;
  readonly #command: string;
  readonly #outputPath: string;
  #spawnError: Error | null = null;

  constructor(
    core: number | null,
    command: readonly string[],
    { folder, name = "process", env }: { folder: string; name?: string; env?: Record<string, string> },
  ) {
    const [file, args] = pinned(core, command);
    this.#command = command.join(" ");
    this.#outputPath = join(folder, `${name}.out`);
    const output = openSync(this.#outputPath, "w");
    this.child = spawn(file, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", output, output],
    });
    closeSync(output);
    running.add(this.child);
    this.child.once("close", () => running.delete(this.child));
    this.child.once("error", (error) => {
      this.#spawnError = error;
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get hasEnded(): boolean {
    return this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The first value that `read` finds in the output. Errors: rejects when the process ends or takes too long. */
  async outputWith<T>(read: (output: string) => T | null): Promise<T> {
    return this.#poll(async () => read(this.#output()));
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
    throw new Error(`${this.#command} did not start; its output:\n${this.#spawnError?.message ?? this.#output()}`);
  }

  #output(): string {
    const file = openSync(this.#outputPath, "r");
    const bytes = Buffer.alloc(outputReadBytes);
    const length = readSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
    return bytes.toString("utf8", 0, length);
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
