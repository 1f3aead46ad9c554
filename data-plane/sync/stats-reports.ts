import type { Clock } from "./clock.ts";
import type { ReportStream } from "./observation-reports.ts";
import type { NodeMessage } from "./sync-stream.ts";

type StatsMessage = Extract<NodeMessage, { case: "stats" }>["value"];

/** How the node does, as the control plane is told; reading it may take a moment. */
export type StatsSource = () => Promise<Omit<StatsMessage, "$typeName" | "$unknown" | "interval">>;

/** Tells a control plane how the node does: at once on a new stream, then again and again. */
export class StatsReports {
  readonly #source: StatsSource;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #stopTimer = () => {};
  /** The stream that is told; another one, or none, by the time that the stats are read: they are not for it. */
  #stream: ReportStream | null = null;
  #toldAtMs: number | null = null;

  constructor(source: StatsSource, clock: Clock, intervalMs: number) {
    this.#source = source;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  start(stream: ReportStream): void {
    this.stop();
    this.#stream = stream;
    this.#toldAtMs = null;
    void this.#tell(stream);
  }

  stop(): void {
    this.#stopTimer();
    this.#stream = null;
  }

  async #tell(stream: ReportStream): Promise<void> {
    // Stats that cannot be read are told next time.
    const stats = await this.#source().catch(() => null);
    if (this.#stream !== stream) return;
    if (stats !== null && !stream.isBacklogged) {
      const nowMs = this.#clock.monotonicMs();
      const interval = this.#toldAtMs === null ? {} : { interval: duration(nowMs - this.#toldAtMs) };
      this.#toldAtMs = nowMs;
      stream.send({ case: "stats", value: { ...stats, ...interval } });
    }
    this.#stopTimer = this.#clock.after(this.#intervalMs, () => void this.#tell(stream));
  }
}

function duration(ms: number): { seconds: bigint; nanos: number } {
  const nanos = Math.round(ms * 1e6);
  return { seconds: BigInt(Math.floor(nanos / 1e9)), nanos: nanos % 1e9 };
}
