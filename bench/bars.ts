import type { WorkloadResult } from "./report.ts";
import { median } from "./statistics.ts";

/** What the CPU time per request of ours may be at most, as a multiple of another's in the same rounds. */
interface Bar {
  readonly workload: string;
  /** The contestant of ours; default: penstock. */
  readonly of?: string;
  /** A contestant of the workload, or Kong. */
  readonly against: string;
  readonly max: number;
  readonly aim?: number;
}

export interface JudgedBar extends Bar {
  /** null: the other one was not measured. */
  readonly ratio: number | null;
}

/**
 * Kong 3.10's CPU per request as a multiple of nginx's, measured once beside an nginx of the same machine: with one
 * fixed path, and with random paths over 1,002 routes. Kong needs more than a bench can start.
 */
const kongTimesNginx: Readonly<Record<string, number>> = { W1: 2.61, W1r: 4.5 };
const kong = "Kong (by its ratio to nginx)";

const bars: readonly Bar[] = [
  { workload: "W1", against: "nginx", max: 1.2, aim: 1.0 },
  { workload: "W1", against: "envoy", max: 0.45 },
  { workload: "W1", against: "caddy", max: 0.25 },
  { workload: "W1", against: "node-undici", max: 0.4 },
  { workload: "W1", against: kong, max: 0.45 },
  { workload: "W1r", against: "penstock-one-route", max: 1.1 },
  { workload: "W1r", against: kong, max: 0.45 },
  { workload: "W1state", against: "penstock-one-route", max: 1.15 },
  { workload: "W1algorithms", of: "penstock-least-connections", against: "nginx", max: 1.2 },
  { workload: "W1algorithms", of: "penstock-latency", against: "nginx", max: 1.2 },
  { workload: "W1algorithms", of: "penstock-consistent-hashing", against: "nginx", max: 1.2 },
  { workload: "W1algorithms", of: "penstock-sticky-sessions", against: "nginx", max: 1.2 },
  { workload: "W1log", against: "penstock-no-log", max: 1.15 },
  { workload: "W2", against: "nginx", max: 1.8 },
  { workload: "W2", against: "envoy", max: 0.9 },
  { workload: "W2", against: "caddy", max: 0.6 },
  { workload: "W2", against: "node-undici", max: 0.5 },
  { workload: "W3", against: "nginx", max: 1.2, aim: 1.0 },
  { workload: "W3", against: "envoy", max: 0.45 },
  { workload: "W3", against: "caddy", max: 0.25 },
  { workload: "W3", against: "node-undici", max: 0.4 },
  { workload: "connections", against: "nginx", max: 2.0 },
  { workload: "connections", against: "envoy", max: 0.8 },
  { workload: "connections", against: "caddy", max: 0.6 },
  { workload: "connections", against: "node-undici", max: 0.5 },
  { workload: "tls", against: "nginx", max: 1.3 },
  { workload: "tls-handshake", against: "nginx", max: 1.7 },
  { workload: "tls-handshake", against: "node-undici", max: 0.95 },
  { workload: "tls-resume", against: "nginx", max: 1.6 },
  { workload: "tls-resume", against: "node-undici", max: 0.95 },
];

/** The bars of these results' workloads. */
export function judgeBars(results: readonly WorkloadResult[]): JudgedBar[] {
  const judged: JudgedBar[] = [];
  for (const bar of bars) {
    const result = results.find(({ workload }) => workload === bar.workload);
    if (result !== undefined) judged.push({ ...bar, ratio: ratioOf(result, bar) });
  }
  return judged;
}

function ratioOf(result: WorkloadResult, { of = "penstock", against }: Pick<Bar, "of" | "against">): number | null {
  if (against === kong) {
    const toNginx = ratioOf(result, { of, against: "nginx" });
    return toNginx && toNginx / kongTimesNginx[result.workload]!;
  }
  const roundsOf = (name: string) => result.subjects.find((one) => one.name === name)?.rounds;
  const [own, other] = [roundsOf(of), roundsOf(against)];
  return own && other ? median(own.map((us, round) => us / other[round]!)) : null;
}
