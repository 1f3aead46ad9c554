import type { CertificateExpiry } from "./snapshot/compile-tls.ts";
import type { Metric } from "./status/metrics-text.ts";
import type { Log } from "./telemetry/log.ts";
import type { Timers } from "./upstream/timers.ts";

const dayMs = 86_400_000;
const warnBeforeMs = 30 * dayMs;
/** More lines would hide what else is logged. */
const warningsMax = 20;

export interface ExpiryWatchOptions {
  /** What is served now. */
  readonly expiries: () => readonly CertificateExpiry[];
  readonly nowUnixMs: () => number;
  readonly timers: Timers;
  readonly log: Log;
}

/**
 * Warns of certificates that expire within 30 days: when they come, and once a day. Each is told once as long as its
 * date is the same, and again when it has expired.
 */
export class ExpiryWatch {
  readonly #options: ExpiryWatchOptions;
  readonly #told = new Set<string>();
  #cancel = () => {};

  constructor(options: ExpiryWatchOptions) {
    this.#options = options;
    this.#lookAgain();
  }

  #lookAgain(): void {
    this.#cancel = this.#options.timers.after(dayMs, () => {
      this.look();
      this.#lookAgain();
    });
  }

  /** Tells of what there is now. */
  look(): void {
    const { expiries, log } = this.#options;
    const nowMs = this.#options.nowUnixMs();
    const due = expiries().filter(({ expiresAtMs }) => expiresAtMs - nowMs < warnBeforeMs);
    const keyOf = ({ id, expiresAtMs }: CertificateExpiry) => `${id} ${expiresAtMs} ${expiresAtMs <= nowMs}`;
    const untold = soonestFirst(due.filter((one) => !this.#told.has(keyOf(one))));
    for (const { id, expiresAtMs } of untold.slice(0, warningsMax)) {
      const expires = new Date(expiresAtMs).toISOString();
      log.warn({ certificate: id, expires }, expiresAtMs <= nowMs ? "certificate expired" : "certificate expires soon");
    }
    const moreCount = untold.length - warningsMax;
    if (moreCount > 0) log.warn({ certificates: moreCount }, "further certificates expired or expire soon");
    this.#told.clear();
    for (const one of due) this.#told.add(keyOf(one));
  }

  close(): void {
    this.#cancel();
  }
}

/** When certificates expire, the soonest of them if there are more than `seriesMax`. */
export function expiryMetric(expiries: readonly CertificateExpiry[], seriesMax: number): Metric {
  return {
    name: "penstock_certificate_expires_timestamp_seconds",
    type: "gauge",
    help: "When a certificate expires; where there are too many, those that expire first.",
    samples: soonestFirst(expiries)
      .slice(0, seriesMax)
      .map(({ id, expiresAtMs }) => ({ labels: [["id", id]], value: expiresAtMs / 1_000 })),
  };
}

function soonestFirst(expiries: readonly CertificateExpiry[]): CertificateExpiry[] {
  return [...expiries].sort((a, b) => a.expiresAtMs - b.expiresAtMs || (a.id < b.id ? -1 : 1));
}
