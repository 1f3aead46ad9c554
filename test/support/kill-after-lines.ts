import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/**
 * Kills a process (SIGKILL) once it has printed so many lines, and returns every line that it printed until it was
 * gone. The last ones are from the moment of the kill, which is what such a test is about.
 */
export async function killAfterLines(child: ChildProcess, lineCount: number): Promise<string[]> {
  const lines: string[] = [];
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout! })) {
    lines.push(line);
    if (lines.length === lineCount) child.kill("SIGKILL");
  }
  await exited;
  return lines;
}
