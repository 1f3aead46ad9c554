import { close, fstat, open, writev } from "node:fs";
import { promisify } from "node:util";

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const writeAll = promisify(writev);

export interface AccessLogWriterOptions {
  /** "stdout", or a file that is appended to. */
  readonly target: string;
  readonly onProblem: (problem: string, lostLineCount: number) => void;
}

interface Waiting {
  readonly lines: Uint8Array;
  readonly lineCount: number;
  readonly taken: () => void;
}

/** Where a pipe does not take a write in one piece, what others write to it may come between: PIPE_BUF on Linux. */
const pipeWriteBytes = 4_096;
const busyWaitMs = 20;
const newline = 0x0a;

/**
 * The one place that writes access lines. One write is under way at a time: a reader that stands still holds one
 * thread of the pool, and the senders stop by themselves when they are told of nothing taken.
 */
export class AccessLogWriter {
  readonly #options: AccessLogWriterOptions;
  #file: number;
  #isRegularFile: boolean;
  #waiting: Waiting[] = [];
  #wantsReopen = false;
  /** Resolves when all that was given until now is written; null while nothing is under way. */
  #writing: Promise<void> | null = null;

  private constructor(options: AccessLogWriterOptions, file: number, isRegularFile: boolean) {
    this.#options = options;
    this.#file = file;
    this.#isRegularFile = isRegularFile;
  }

  /** Errors: rejects when the file cannot be opened. */
  static async open(options: AccessLogWriterOptions): Promise<AccessLogWriter> {
    const file = options.target === "stdout" ? 1 : await openFile(options.target, "a", 0o640);
    return new AccessLogWriter(options, file, (await statFile(file)).isFile());
  }

  /** @param taken called once, when the lines are written or lost */
  write(lines: Uint8Array, lineCount: number, taken: () => void): void {
    this.#waiting.push({ lines, lineCount, taken });
    this.#writing ??= this.#writeWaiting();
  }

  /** Opens the file by its name again: after a rotation that is a new one. Standard output stays. */
  reopen(): void {
    if (this.#options.target === "stdout") return;
    this.#wantsReopen = true;
    this.#writing ??= this.#writeWaiting();
  }

  /** Resolves when everything is written, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#writing !== null) {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs);
      });
      await Promise.race([this.#writing, timeout]);
      clearTimeout(timer);
    }
    if (this.#writing === null && this.#options.target !== "stdout") await closeFile(this.#file);
  }

  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0 || this.#wantsReopen) {
      if (this.#wantsReopen) await this.#openAgain();
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#isRegularFile) await this.#writeWhole(batch.map(({ lines }) => lines));
        else for (const { lines } of batch) for (const piece of piecesOf(lines)) await this.#writeWhole([piece]);
      } catch (error) {
        const lostCount = batch.reduce((sum, { lineCount }) => sum + lineCount, 0);
        this.#options.onProblem((error as Error).message, lostCount);
      }
      for (const { taken } of batch) taken();
    }
    this.#writing = null;
  }

  async #openAgain(): Promise<void> {
    this.#wantsReopen = false;
    try {
      const file = await openFile(this.#options.target, "a", 0o640);
      const former = this.#file;
      this.#file = file;
      this.#isRegularFile = (await statFile(file)).isFile();
      await closeFile(former);
    } catch (error) {
      this.#options.onProblem(`cannot open it again, the one before stays: ${(error as Error).message}`, 0);
    }
  }

  async #writeWhole(parts: readonly Uint8Array[]): Promise<void> {
    let left = parts;
    while (left.length > 0) {
      const written = await this.#writeSome(left);
      left = withoutFirst(left, written);
    }
  }

  async #writeSome(parts: readonly Uint8Array[]): Promise<number> {
    for (;;) {
      try {
        const { bytesWritten } = (await writeAll(this.#file, parts)) as unknown as { bytesWritten: number };
        return bytesWritten;
      } catch (error) {
        // Another process made the pipe that we share non-blocking.
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        await new Promise((resolve) => setTimeout(resolve, busyWaitMs));
      }
    }
  }
}

/** Whole lines of at most a pipe's undivided write together; a longer line by itself. */
function piecesOf(lines: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < lines.length; ) {
    const last = lines.lastIndexOf(newline, Math.min(start + pipeWriteBytes, lines.length) - 1);
    const end = (last >= start ? last : lines.indexOf(newline, start)) + 1;
    pieces.push(lines.subarray(start, end));
    start = end;
  }
  return pieces;
}

function withoutFirst(parts: readonly Uint8Array[], byteCount: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let toSkip = byteCount;
  for (const part of parts) {
    if (toSkip >= part.length) toSkip -= part.length;
    else {
      left.push(part.subarray(toSkip));
      toSkip = 0;
    }
  }
  return left;
}
