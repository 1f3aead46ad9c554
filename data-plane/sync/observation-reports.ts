import type { Clock } from "./clock.ts";
import type { NodeMessage } from "./sync-stream.ts";

type ObservationsMessage = Extract<NodeMessage, { case: "observations" }>["value"];
type ObservationMessage = NonNullable<NonNullable<ObservationsMessage["observations"]>[number]>;

/** What the node sees of one endpoint, as the control plane is told. */
export type Observation = Omit<ObservationMessage, "$typeName" | "$unknown">;

/** What there is to be told. */
export interface ObservationSource {
  /** All of it; what has changed until now counts as told. */
  takeAll(): readonly Observation[];
  /** What has changed since the last call. @param withCounts also where nothing but counters did */
  takeChanged(withCounts: boolean): readonly Observation[];
}

export interface ReportStream {
  send(message: NodeMessage): void;
  /** Whether what was sent is still on its way out. */
  readonly isBacklogged: boolean;
}

const intervalMs = 1_000;
const messageMaxCount = 1_000;
/** Counters change with every probe: they are told so many intervals apart. */
const intervalsPerCounts = 30;

/** Tells a control plane what the node sees: all of it on a new stream, then once a second what has changed. */
export class ObservationReports {
  readonly #source: ObservationSource;
  readonly #clock: Clock;
  #intervalCount = 0;
  #stopTimer = () => {};

  constructor(source: ObservationSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  start(stream: ReportStream): void {
    this.stop();
    this.#send(stream, this.#source.takeAll(), true);
    this.#goOn(stream);
  }

  stop(): void {
    this.#stopTimer();
  }

  #goOn(stream: ReportStream): void {
    this.#stopTimer = this.#clock.after(intervalMs, () => {
      // What is not taken now is taken later, with what changes until then.
      if (!stream.isBacklogged) {
        const withCounts = ++this.#intervalCount % intervalsPerCounts === 0;
        this.#send(stream, this.#source.takeChanged(withCounts), false);
      }
      this.#goOn(stream);
    });
  }

  #send(stream: ReportStream, observations: readonly Observation[], isAll: boolean): void {
    for (let at = 0; at < observations.length || (isAll && at === 0); at += messageMaxCount) {
      const piece = observations.slice(at, at + messageMaxCount);
      stream.send({ case: "observations", value: { observations: piece, isStartOfAll: isAll && at === 0 } });
    }
  }
}
