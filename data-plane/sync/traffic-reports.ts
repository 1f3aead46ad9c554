import type { Clock } from "./clock.ts";
import type { ReportStream } from "./observation-reports.ts";
import type { NodeMessage } from "./sync-stream.ts";

type TrafficReport = Extract<NodeMessage, { case: "traffic" }>["value"];
type ReportFacts = Pick<TrafficReport, "look" | "interval" | "isStartOfAll">;
type EndpointTrafficMessage = NonNullable<NonNullable<TrafficReport["endpoints"]>[number]>;

/** What requests met at one endpoint, as the control plane is told. */
export type EndpointTraffic = Omit<EndpointTrafficMessage, "$typeName" | "$unknown">;

/**
 * What there is to be told, in pieces: each takes a turn of the event loop at most, and may be empty. What is not taken
 * is told later.
 */
export interface TrafficSource {
  /** Every endpoint that was ever sent something; what has changed until now counts as told. */
  takeAll(pieceMax: number): Iterable<readonly EndpointTraffic[]>;
  /** Those of which something has changed since it was last told. */
  takeChanged(pieceMax: number): Iterable<readonly EndpointTraffic[]>;
}

const lookIntervalMs = 2_000;
/** Telling of an endpoint costs some 7 us here and 4 us at the control plane, which hears of many nodes. */
const intervalPerEndpointMs = 1;
const messageMaxCount = 1_000;

/** Tells a control plane of the traffic: all of it on a new stream, then what has changed, and nothing when nothing has. */
export class TrafficReports {
  readonly #source: TrafficSource;
  readonly #clock: Clock;
  #look = 0n;
  #lookedAtMs = 0;
  /** The last look found something. */
  #isMoving = false;
  #stopTimer = () => {};

  constructor(source: TrafficSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  start(stream: ReportStream): void {
    this.stop();
    this.#look = 0n;
    this.#lookedAtMs = this.#clock.monotonicMs();
    // The first report is sent also where there is nothing: what was told before is void.
    this.#tell(stream, this.#source.takeAll(messageMaxCount), { isStartOfAll: true }, true);
  }

  stop(): void {
    this.#stopTimer();
  }

  #lookLater(stream: ReportStream, toldCount: number): void {
    this.#isMoving = toldCount > 0;
    const delayMs = Math.max(lookIntervalMs, toldCount * intervalPerEndpointMs);
    this.#stopTimer = this.#clock.after(delayMs, () => this.#lookAgain(stream));
  }

  #lookAgain(stream: ReportStream): void {
    if (stream.isBacklogged) {
      this.#stopTimer = this.#clock.after(lookIntervalMs, () => this.#lookAgain(stream));
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const nanos = Math.round((nowMs - this.#lookedAtMs) * 1e6);
    this.#lookedAtMs = nowMs;
    const interval = { seconds: BigInt(Math.floor(nanos / 1e9)), nanos: nanos % 1e9 };
    // Once more after the last one: nothing but the next report tells that the rates of that one are over.
    this.#tell(stream, this.#source.takeChanged(messageMaxCount), { look: ++this.#look, interval }, this.#isMoving);
  }

  /** @param isDue a report is to be sent, be there anything to tell or not */
  #tell(stream: ReportStream, pieces: Iterable<readonly EndpointTraffic[]>, facts: ReportFacts, isDue: boolean): void {
    const left = pieces[Symbol.iterator]();
    let sentCount = 0;
    let toldCount = 0;
    const goOn = () => {
      const { value: piece, done } = left.next();
      if (done !== true && piece.length > 0) send(piece);
      if (done !== true) this.#stopTimer = this.#clock.after(0, goOn);
      else {
        if (isDue && sentCount === 0) send([]);
        this.#lookLater(stream, toldCount);
      }
    };
    const send = (endpoints: readonly EndpointTraffic[]) => {
      const isStartOfAll = facts.isStartOfAll === true && sentCount === 0;
      stream.send({ case: "traffic", value: { ...facts, endpoints: [...endpoints], isStartOfAll } });
      sentCount++;
      toldCount += endpoints.length;
    };
    goOn();
  }
}
