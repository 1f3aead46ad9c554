import type { BenchCertificate } from "./bench-certificate.ts";
import type { Contestant } from "./contestant.ts";

/** A program to be measured: ours or a peer. */
export interface Subject {
  readonly name: string;
  /** Its version, or null when it is not on this machine. */
  version(): string | null;
  /** Starts it in front of the targets, pinned to the proxy's core, and waits until it serves. */
  start(setup: SubjectSetup): Promise<RunningSubject>;
}

export interface SubjectSetup {
  readonly contestant: Contestant;
  readonly targetPorts: readonly [number, number];
  readonly targetWeights: readonly [number, number];
  /** Over TLS; null = plain. */
  readonly certificate: BenchCertificate | null;
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
  /** null: it writes none. */
  readonly accessLogPath: string | null;
  stop(): Promise<void>;
}

/** Which core carries what; null = not pinned (a single core, or no taskset). */
export interface Cores {
  readonly proxy: number | null;
  readonly load: number | null;
}
