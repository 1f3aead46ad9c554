import { linesText } from "./printable.ts";

/** Says what the user can put right, a line each, and has the process end with 2. @param command such as "node" */
export function refuse(command: string, lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(linesText([`penstock ${command}: ${line}`]));
  process.exitCode = 2;
}
