import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A process under test: its output by line, its end as a promise, and a wait for the line that a test needs. */
export interface RunningProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Every line of stdout and stderr so far. */
  readonly lines: readonly string[];
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  /**
   * Resolves with the first JSON line, from now or before, that the test accepts.
   * Errors: rejects when the process ends first, with its output in the message.
   */
  jsonLine(accepts: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

const running = new Set<ChildProcess>();
// Whatever a test forgot, or a failed one left behind, ends with the test process.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

function parseJson(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

export function runProcess(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): RunningProcess {
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: { ...process.env, NODE_OPTIONS: "", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const lines: string[] = [];
  const listeners = new Set<(line: string | null) => void>();
  const tell = (line: string | null) => {
    for (const listener of [...listeners]) listener(line);
  };
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      tell(line);
    });
  }
  const ended = new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  }).then((end) => {
    running.delete(child);
    tell(null);
    return end;
  });
  return {
    child,
    pid: child.pid ?? -1,
    lines,
    ended,
    jsonLine: (accepts) =>
      new Promise((resolve, reject) => {
        const look = (line: string | null): boolean => {
          if (line === null) {
            listeners.delete(look);
            reject(new Error(`the process ended before the awaited line; its output:\n${lines.join("\n")}`));
            return true;
          }
          const parsed = parseJson(line);
          if (parsed === null || !accepts(parsed)) return false;
          listeners.delete(look);
          resolve(parsed);
          return true;
        };
        for (const line of lines) if (look(line)) return;
        if (child.exitCode !== null || child.signalCode !== null) look(null);
        else listeners.add(look);
      }),
    stop: (signal = "SIGTERM") => {
      child.kill(signal);
      return ended;
    },
  };
}
