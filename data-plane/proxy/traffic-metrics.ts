import type { EndpointConfig, PoolConfig, RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import type { RouteWaits } from "../health/route-waits.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import { EndpointCounts } from "../telemetry/endpoint-counts.ts";
import { type HandshakeFailure, handshakeFailures } from "../telemetry/handshake-failure.ts";
import { histogramCells, observeMs } from "../telemetry/histogram.ts";
import { type SeriesCounts, SeriesTable } from "../telemetry/series-table.ts";
import type { UpstreamLoss } from "../upstream/http1-client.ts";

/**
 * Where each figure of a route lies in its series. What most requests count, of an answer 2xx that was there within a
 * millisecond, lies side by side: with many routes it is in no cache (bench W1r).
 */
export const RouteCell = {
  /** By the class of an answer, 1xx to 5xx. */
  answers: [0, 4, 1, 2, 3],
  bytesIn: 5,
  bytesOut: 6,
  /** Two histograms, whose cells alternate. */
  duration: 7,
  upstreamLatency: 8,
  histogramStep: 2,
} as const;
export const routeCells = RouteCell.duration + RouteCell.histogramStep * histogramCells;

/** How attempts fail, in the order of their cells. */
export const lossKinds: readonly UpstreamLoss[] = [
  "refused",
  "unreachable",
  "connect_timeout",
  "no_socket",
  "tls_certificate",
  "tls_protocol",
  "tls_alert",
  "closed",
  "timeout",
  "bad_response",
  "defect",
];
export const TargetCell = { attempts: 0, ejections: 1, losses: 2 } as const;
export const targetCells = TargetCell.losses + lossKinds.length;

const lossCell = Object.fromEntries(lossKinds.map((loss, index) => [loss, TargetCell.losses + index])) as Readonly<
  Record<UpstreamLoss, number>
>;

/** What a worker sends of its traffic. */
export interface TrafficCounts {
  /** TLS handshakes that went well. Label: kind, "full" or "resumed". Cells: a histogram of their time. */
  readonly handshakes: SeriesCounts;
  /** Label: reason. One cell. */
  readonly handshakeFailures: SeriesCounts;
  /** Labels: service, route. */
  readonly routes: SeriesCounts;
  /** Labels: upstream, target. */
  readonly targets: SeriesCounts;
}

/** Where a request went, under the snapshot that it began under. */
export interface RoutedRequest {
  readonly route: RouteConfig | null;
  /** Of the route, if there is one, among those of that snapshot. */
  readonly routeSlot: number;
  readonly service: ServiceConfig | null;
}

/** What is counted of a request at its end. */
export interface FinishedRequest extends RoutedRequest {
  /** As `placeOf` gave it when attempts began; null when there was none. */
  readonly place: RoutePlace | null;
  /** 0 when the client left before it was answered. */
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** From the request's sending to the answer's head; below 0 without one. */
  readonly answerLatencyMs: number;
}

/**
 * Where a worker keeps what it knows of a route, for one lookup per request, by a number: a Map would touch memory in two
 * places more that with many routes are in no cache (bench W1r).
 */
export interface RoutePlace {
  readonly route: RouteConfig | null;
  /** That the route led to. */
  readonly service: ServiceConfig | null;
  /** Of its series, valid in this generation. */
  readonly offset: number;
  readonly generation: number;
  /** Who waits on it; null until somebody does. */
  waits: RouteWaits | null;
}

/**
 * What a worker counts by service and route, and by upstream and target. Series are found by the identity of the
 * config's objects, which live as long as a snapshot, so that a request builds no string.
 *
 * Cost: a map lookup and some twenty additions per request.
 */
export class TrafficMetrics {
  readonly #routes: SeriesTable;
  readonly #targets: SeriesTable;
  readonly #endpoints: EndpointCounts;
  /** By the slots of the snapshot's routes; null until somebody asks for it. */
  #places: (RoutePlace | null)[] = [];
  #placeOfNone: RoutePlace | null = null;
  readonly #offsetByEndpoint = new Map<EndpointConfig, number>();
  readonly #handshakes = new SeriesTable(histogramCells, 1, 2);
  readonly #handshakeFailures = new SeriesTable(1, 1, handshakeFailures.length);
  #snapshot: ServedSnapshot | null = null;
  #generation = 0;

  /**
   * @param seriesMax routes, and targets, with series of their own
   * @param endpoints gets what is counted for the live view, of however many endpoints
   */
  constructor(seriesMax: number, endpoints = new EndpointCounts(() => {})) {
    this.#endpoints = endpoints;
    this.#routes = new SeriesTable(routeCells, 2, seriesMax);
    this.#targets = new SeriesTable(targetCells, 2, seriesMax);
  }

  /** @param snapshot what is served now; the request may have begun under another */
  countRequest(request: FinishedRequest, durationMs: number, snapshot: ServedSnapshot | null): void {
    const { place } = request;
    if (snapshot !== this.#snapshot) this.#follow(snapshot);
    // A request that began under the snapshot before has a place of then.
    const isValid = place !== null && place.generation === this.#generation;
    const at = (isValid ? place : this.placeOf(request, snapshot)).offset;
    const { cells } = this.#routes;
    // A client that left without an answer counts as its own fault, as 499 elsewhere.
    const answerClass = request.status === 0 ? 4 : Math.trunc(request.status / 100) - 1;
    cells[at + RouteCell.answers[answerClass]!]!++;
    cells[at + RouteCell.bytesIn]! += request.bytesIn;
    cells[at + RouteCell.bytesOut]! += request.bytesOut;
    observeMs(cells, at + RouteCell.duration, durationMs, RouteCell.histogramStep);
    if (request.answerLatencyMs < 0) return;
    observeMs(cells, at + RouteCell.upstreamLatency, request.answerLatencyMs, RouteCell.histogramStep);
  }

  /** @param snapshot what is served now */
  placeOf(request: RoutedRequest, snapshot: ServedSnapshot | null): RoutePlace {
    if (snapshot !== this.#snapshot) this.#follow(snapshot);
    const { route, routeSlot } = request;
    const place = route === null ? this.#placeOfNone : this.#places[routeSlot];
    // A request that began under the snapshot before may have come by another route, or by the same to another service.
    return place?.route === route && place.service === request.service ? place : this.#newPlace(request);
  }

  countAttempt(pool: PoolConfig, endpoint: EndpointConfig): void {
    const at = this.#offsetByEndpoint.get(endpoint) ?? this.#targetOffset(pool, endpoint);
    this.#targets.cells[at + TargetCell.attempts]!++;
    this.#endpoints.requested(endpoint.row);
  }

  /** The head of an answer is there, be it passed on or not. @param latencyMs since the request was sent */
  countAnswer(endpoint: EndpointConfig, status: number, latencyMs: number): void {
    this.#endpoints.answered(endpoint.row, status, latencyMs);
  }

  countLoss(pool: PoolConfig, endpoint: EndpointConfig, loss: UpstreamLoss): void {
    const at = this.#offsetByEndpoint.get(endpoint) ?? this.#targetOffset(pool, endpoint);
    this.#targets.cells[at + lossCell[loss]]!++;
    this.#endpoints.lost(endpoint.row);
  }

  countEjection(pool: PoolConfig, endpoint: EndpointConfig): void {
    const at = this.#offsetByEndpoint.get(endpoint) ?? this.#targetOffset(pool, endpoint);
    this.#targets.cells[at + TargetCell.ejections]!++;
    this.#endpoints.ejected(endpoint.row);
  }

  countHandshake(durationMs: number, isResumed: boolean): void {
    const kind = isResumed ? "resumed" : "full";
    const at = this.#handshakes.offsetOf(kind, [kind], 0);
    observeMs(this.#handshakes.cells, at, durationMs);
  }

  countHandshakeFailure(reason: HandshakeFailure): void {
    const at = this.#handshakeFailures.offsetOf(reason, [reason], 0);
    this.#handshakeFailures.cells[at]!++;
  }

  read(): TrafficCounts {
    return {
      routes: this.#routes.read(),
      targets: this.#targets.read(),
      handshakes: this.#handshakes.read(),
      handshakeFailures: this.#handshakeFailures.read(),
    };
  }

  /** Another snapshot brings other objects for the same routes and endpoints. */
  #follow(snapshot: ServedSnapshot | null): void {
    this.#snapshot = snapshot;
    this.#generation++;
    this.#places = [];
    this.#placeOfNone = null;
    this.#offsetByEndpoint.clear();
  }

  #newPlace({ route, routeSlot, service }: RoutedRequest): RoutePlace {
    const labels = [
      service === null ? "" : (service.name ?? service.id),
      route === null ? "" : (route.name ?? route.id),
    ];
    const offset = this.#routes.offsetOf(`${service?.id ?? ""} ${route?.id ?? ""}`, labels, this.#generation);
    const place = { route, service, offset, generation: this.#generation, waits: null };
    if (route === null) this.#placeOfNone = place;
    else {
      while (this.#places.length <= routeSlot) this.#places.push(null);
      this.#places[routeSlot] = place;
    }
    return place;
  }

  #targetOffset(pool: PoolConfig, endpoint: EndpointConfig): number {
    const target = addressText(endpoint.address, endpoint.port);
    const offset = this.#targets.offsetOf(`${pool.key} ${target}`, [pool.name, target], this.#generation);
    this.#offsetByEndpoint.set(endpoint, offset);
    return offset;
  }
}

/** `address:port`, IPv6 in brackets. */
export function addressText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
