import { routeCells, type TrafficCounts, targetCells } from "../proxy/traffic-metrics.ts";
import { handshakeFailures } from "../telemetry/handshake-failure.ts";
import { histogramCells } from "../telemetry/histogram.ts";
import { type SeriesCounts, SeriesTotals } from "../telemetry/series-table.ts";
import { poolSizeCells } from "../upstream/upstream-pool.ts";

/** What a worker said last of what it counts. */
export interface WorkerTraffic {
  readonly workerIndex: number;
  /** Connections of clients. */
  readonly connectionCount: number;
  readonly traffic: TrafficCounts;
  readonly upstreamConnections: SeriesCounts;
}

/** The traffic of a node's life, over all workers that it has had. */
export interface TrafficSum {
  readonly routes: SeriesTotals;
  readonly targets: SeriesTotals;
  readonly handshakes: SeriesTotals;
  readonly handshakeFailures: SeriesTotals;
  /** What there is now. */
  readonly upstreamConnections: SeriesTotals;
  readonly connectionsByWorker: readonly (readonly [workerIndex: number, count: number])[];
}

/** Keeps what workers that are gone have counted, so that no total falls when one is replaced. */
export class TrafficTotals {
  readonly #seriesMax: number;
  readonly #routes: SeriesTotals;
  readonly #targets: SeriesTotals;
  readonly #handshakes: SeriesTotals = handshakeTotals();
  readonly #handshakeFailures: SeriesTotals = failureTotals();

  constructor(seriesMax: number) {
    this.#seriesMax = seriesMax;
    this.#routes = new SeriesTotals(routeCells, 2, seriesMax);
    this.#targets = new SeriesTotals(targetCells, 2, seriesMax);
  }

  /** A worker is gone. */
  keep(counts: TrafficCounts): void {
    this.#routes.add(counts.routes);
    this.#targets.add(counts.targets);
    this.#handshakes.add(counts.handshakes);
    this.#handshakeFailures.add(counts.handshakeFailures);
  }

  /** With what those count that are there. */
  sum(workers: readonly WorkerTraffic[]): TrafficSum {
    const routes = new SeriesTotals(routeCells, 2, this.#seriesMax);
    const targets = new SeriesTotals(targetCells, 2, this.#seriesMax);
    const upstreamConnections = new SeriesTotals(poolSizeCells, 1, this.#seriesMax);
    routes.add(this.#routes.read());
    targets.add(this.#targets.read());
    const handshakes = handshakeTotals();
    const failures = failureTotals();
    handshakes.add(this.#handshakes.read());
    failures.add(this.#handshakeFailures.read());
    for (const worker of workers) {
      routes.add(worker.traffic.routes);
      targets.add(worker.traffic.targets);
      handshakes.add(worker.traffic.handshakes);
      failures.add(worker.traffic.handshakeFailures);
      upstreamConnections.add(worker.upstreamConnections);
    }
    const connectionsByWorker = workers.map((worker) => [worker.workerIndex, worker.connectionCount] as const);
    return {
      routes,
      targets,
      handshakes,
      handshakeFailures: failures,
      upstreamConnections,
      connectionsByWorker,
    };
  }
}

function handshakeTotals(): SeriesTotals {
  return new SeriesTotals(histogramCells, 1, 2);
}

function failureTotals(): SeriesTotals {
  return new SeriesTotals(1, 1, handshakeFailures.length);
}
