import { routeCells, type TrafficCounts, targetCells } from "../proxy/traffic-metrics.ts";
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
  /** What there is now. */
  readonly upstreamConnections: SeriesTotals;
  readonly connectionsByWorker: readonly (readonly [workerIndex: number, count: number])[];
}

/** Keeps what workers that are gone have counted, so that no total falls when one is replaced. */
export class TrafficTotals {
  readonly #seriesMax: number;
  readonly #routes: SeriesTotals;
  readonly #targets: SeriesTotals;

  constructor(seriesMax: number) {
    this.#seriesMax = seriesMax;
    this.#routes = new SeriesTotals(routeCells, 2, seriesMax);
    this.#targets = new SeriesTotals(targetCells, 2, seriesMax);
  }

  /** A worker is gone. */
  keep(counts: TrafficCounts): void {
    this.#routes.add(counts.routes);
    this.#targets.add(counts.targets);
  }

  /** With what those count that are there. */
  sum(workers: readonly WorkerTraffic[]): TrafficSum {
    const routes = new SeriesTotals(routeCells, 2, this.#seriesMax);
    const targets = new SeriesTotals(targetCells, 2, this.#seriesMax);
    const upstreamConnections = new SeriesTotals(poolSizeCells, 1, this.#seriesMax);
    routes.add(this.#routes.read());
    targets.add(this.#targets.read());
    for (const worker of workers) {
      routes.add(worker.traffic.routes);
      targets.add(worker.traffic.targets);
      upstreamConnections.add(worker.upstreamConnections);
    }
    const connectionsByWorker = workers.map((worker) => [worker.workerIndex, worker.connectionCount] as const);
    return { routes, targets, upstreamConnections, connectionsByWorker };
  }
}
