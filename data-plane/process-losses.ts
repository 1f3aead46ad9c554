import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Refusal } from "./snapshot/apply-snapshot.ts";
import type { AppliedSnapshot } from "./snapshot/snapshot-applier.ts";
import { refusalOf } from "./sync/snapshot-assembler.ts";
import type { Timers } from "./upstream/timers.ts";

export interface ProcessLossesOptions {
  /** Where the next process reads of this one; it need not be there. */
  readonly folder: string;
  readonly timers: Timers;
  /** The former process ended by an error that V8 reported. @param file its report */
  readonly onReport: (file: string) => void;
  /** The folder cannot be written to: losses of the process are not counted. Told once. */
  readonly onUnwritable: (problem: string) => void;
}

/** What is in the file; hashes of states as hex. */
interface LossRecord {
  /** Of the state that the process serves or is about to; null for nothing. */
  readonly takenUp: string | null;
  /** Whether a defect ended the process. */
  readonly isLost: boolean;
  /** How many processes in a row were lost soon after they had taken a state up. */
  readonly lossCounts: Readonly<Record<string, number>>;
}

type Taken = Pick<AppliedSnapshot, "stateHash">;

const recordName = "process-losses.json";
/** What Node writes when V8 gives up, as for want of memory. */
export const reportName = "fatal-error.json";
const formerReportName = "fatal-error.former.json";

/** As of workers: so many in a row, and it is the state. */
const lossesMax = 3;
/** A process that lives for so long with a state does not die of it. */
const settledMs = 60_000;
/** States whose losses are counted; a process dies of one, and of the next when that is no better. */
const countedMax = 8;

/**
 * Counts, from process to process, how many in a row ended by a defect soon after they had taken a state up: what brings a
 * whole process down would otherwise do so after each start. No clock is compared between processes: however long a
 * supervisor waits before it starts the next, that one comes to the same number.
 *
 * What is counted are defects that the process still sees (`lost`), and those that V8 reports. One that is killed says
 * nothing of what it served, and whoever kills a node time and again is to find the newest; a defect in native code
 * (SIGSEGV) cannot be told from that.
 *
 * What a node refuses so, it refuses for itself: others may serve it well, and which part of it is at fault nobody knows.
 */
export class ProcessLosses {
  readonly #options: ProcessLossesOptions;
  readonly #lossCounts: Map<string, number>;
  /** Open for as long as the process lives; null before it is first written, and after its end. */
  #record: number | null = null;
  #recordBytes = 0;
  #takenUp: string | null = null;
  #cancel = () => {};
  #cancelSurvived: (() => void) | null = null;
  #isOver = false;
  #hasTold = false;

  /** Reads of the processes before, and counts the last of them if it was lost. */
  constructor(options: ProcessLossesOptions) {
    this.#options = options;
    const { takenUp, isLost, lossCounts } = readRecord(join(options.folder, recordName));
    const wasReported = this.#putReportAside();
    this.#lossCounts = new Map(Object.entries(lossCounts));
    if (takenUp === null || !(isLost || wasReported)) return;
    const lossCount = (this.#lossCounts.get(takenUp) ?? 0) + 1;
    // The newest is last.
    this.#lossCounts.delete(takenUp);
    this.#lossCounts.set(takenUp, lossCount);
    for (const hash of [...this.#lossCounts.keys()].slice(0, -countedMax)) this.#lossCounts.delete(hash);
    this.#write(false);
  }

  /** Why a snapshot is not to be taken up; null when nothing is known against it. */
  readonly refusalOf = (snapshot: Taken): Refusal | null => {
    const lossCount = this.#lossCounts.get(hashOf(snapshot)) ?? 0;
    if (lossCount < lossesMax) return null;
    return refusalOf("process_lost", `${lossCount} processes in a row were lost within a minute of taking it up`);
  };

  /**
   * To be called before anything is done with a snapshot, and with what is served again instead; null for nothing.
   * What is taken up although it should be refused, since there is nothing else, is counted from the beginning.
   */
  takeUp(snapshot: Taken | null): void {
    const hash = snapshot === null ? null : hashOf(snapshot);
    if (hash === this.#takenUp || this.#isOver) return;
    if (snapshot !== null && this.refusalOf(snapshot) !== null) this.#lossCounts.delete(hashOf(snapshot));
    this.#takenUp = hash;
    this.#cancel();
    this.#write(false);
    const { timers } = this.#options;
    this.#cancel = timers.after(settledMs, () => this.#settled());
    this.#cancelSurvived ??= timers.after(settledMs, () => this.#survived());
  }

  /** A defect ends the process. */
  lost(): void {
    if (!this.#isOver) this.#write(true);
  }

  /** The process ends because it was told to: whoever did may expect that all is tried anew. Never throws. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancel();
    this.#cancelSurvived?.();
    this.#safely(() => {
      if (this.#record !== null) closeSync(this.#record);
      rmSync(join(this.#options.folder, recordName), { force: true });
    });
  }

  /** From now on the process may be lost, but not with what it serves. */
  #settled(): void {
    if (this.#takenUp !== null) this.#lossCounts.delete(this.#takenUp);
    this.#takenUp = null;
    this.#write(false);
  }

  /** The row of losses is broken; what is refused by now stays that. */
  #survived(): void {
    for (const [hash, count] of this.#lossCounts) if (count < lossesMax) this.#lossCounts.delete(hash);
    this.#write(false);
  }

  /**
   * Into the kernel's memory at once, which outlives the process; in place, since a file that is cut and written anew is
   * taken to the disk by some file systems: 0.1 ms instead of 1 to 5.
   */
  #write(isLost: boolean): void {
    const record: LossRecord = { takenUp: this.#takenUp, isLost, lossCounts: Object.fromEntries(this.#lossCounts) };
    const text = Buffer.from(JSON.stringify(record).padEnd(this.#recordBytes));
    this.#safely(() => {
      this.#record ??= openSync(join(this.#options.folder, recordName), "w", 0o600);
      writeSync(this.#record, text, 0, text.length, 0);
      this.#recordBytes = text.length;
    });
  }

  #safely(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!this.#hasTold) this.#options.onUnwritable((error as Error).message);
      this.#hasTold = true;
    }
  }

  /** For whoever looks into it. @returns whether there was one, of what nobody asked for */
  #putReportAside(): boolean {
    const [report, former] = [reportName, formerReportName].map((name) => join(this.#options.folder, name));
    if (!isOfFatalError(report!)) return false;
    this.#safely(() => renameSync(report!, former!));
    this.#options.onReport(former!);
    return true;
  }
}

/** Node's report says what made it be written: a signal also does, and a call. */
function isOfFatalError(report: string): boolean {
  try {
    const { header } = JSON.parse(readFileSync(report, "utf8")) as { readonly header?: { readonly trigger?: unknown } };
    return header?.trigger === "FatalError" || header?.trigger === "OOMError";
  } catch {
    // Cut short where the process had no time left, or there is none.
    return existsSync(report);
  }
}

function hashOf({ stateHash }: Taken): string {
  return Buffer.from(stateHash).toString("hex");
}

/** What cannot be read says nothing of what was served. */
function readRecord(file: string): LossRecord {
  try {
    const { takenUp, isLost, lossCounts } = JSON.parse(readFileSync(file, "utf8")) as LossRecord;
    const counts = Object.entries(lossCounts).filter(([, count]) => Number.isSafeInteger(count));
    const taken = typeof takenUp === "string" ? takenUp : null;
    return { takenUp: taken, isLost: isLost === true, lossCounts: Object.fromEntries(counts) };
  } catch {
    return { takenUp: null, isLost: false, lossCounts: {} };
  }
}
