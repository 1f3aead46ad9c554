import { latencyBucketCount } from "../../proto/latency-buckets.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { type EndpointTotal, type EndpointTotals, noTotal } from "../telemetry/endpoint-totals.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { EndpointTraffic, TrafficSource } from "./traffic-reports.ts";

export interface TrafficChangesOptions {
  readonly table: Pick<EndpointTable, "inFlight">;
  readonly rows: Pick<EndpointRows, "endpointAt">;
  readonly totals: Pick<EndpointTotals, "activity" | "read" | "readBuckets">;
  /** The endpoints of the upstreams in use. */
  readonly sets: () => Iterable<EndpointSet>;
}

/** What was last told of an endpoint that was ever sent something. */
interface Told {
  readonly endpoint: EndpointRow;
  readonly name: Required<Pick<EndpointTraffic, "upstreamId" | "targetId" | "address">>;
  activity: number;
  inFlight: number;
  readonly buckets: Uint32Array;
  /** What was counted before it was last gone. */
  base: EndpointTotal;
  /** False while nobody knows of it: it was told to be gone, or nothing has happened yet. */
  isTold: boolean;
}

/** A turn of the event loop is to take some milliseconds at most. */
const turnRowsMax = 5_000;

/**
 * The traffic of the endpoints of upstreams, and which of it has changed. An endpoint that was never sent anything costs a
 * look at two numbers, one that was some 700 bytes: of as many as were ever in use at once.
 */
export class TrafficChanges implements TrafficSource {
  readonly #options: TrafficChangesOptions;
  readonly #byRow = new Map<number, Told>();
  readonly #sums = new Uint32Array(latencyBucketCount);

  constructor(options: TrafficChangesOptions) {
    this.#options = options;
  }

  takeAll(pieceMax: number): Iterable<readonly EndpointTraffic[]> {
    return this.#take(pieceMax, true);
  }

  takeChanged(pieceMax: number): Iterable<readonly EndpointTraffic[]> {
    return this.#take(pieceMax, false);
  }

  *#take(pieceMax: number, isAll: boolean): Iterable<readonly EndpointTraffic[]> {
    const inUse = new Set<number>();
    for (const { endpoints } of this.#options.sets()) for (const { row } of endpoints) inUse.add(row);
    let piece: EndpointTraffic[] = [];
    for (const [row, told] of this.#byRow) if (told.isTold && !inUse.has(row)) this.#lookAtFormer(told, isAll, piece);
    for (let at = 0; at < piece.length; at += pieceMax) yield piece.slice(at, at + pieceMax);
    piece = [];
    let rowCount = 0;
    for (const row of inUse) {
      this.#lookAt(row, isAll, piece);
      // One row adds two at most.
      if (++rowCount % turnRowsMax !== 0 && piece.length < pieceMax - 1) continue;
      yield piece;
      piece = [];
    }
    yield piece;
  }

  #lookAt(row: number, isAll: boolean, piece: EndpointTraffic[]): void {
    const { rows, totals } = this.#options;
    const known = this.#byRow.get(row);
    if (known === undefined && totals.activity(row) === 0) return;
    const endpoint = rows.endpointAt(row);
    // It went just now.
    if (endpoint === null) return;
    const isSame = known?.endpoint === endpoint && known.name.targetId === endpoint.targetId;
    if (known !== undefined && !isSame) this.#goes(known, isAll, piece);
    const told = isSame ? known : this.#begin(endpoint, known);
    if (this.#isChanged(told) || (isAll && told.isTold)) piece.push(this.#tell(told, isAll));
  }

  /** @param former who had the row, or the same endpoint as another target's, whose counts it goes on from */
  #begin(endpoint: EndpointRow, former: Told | undefined): Told {
    const { row, targetId, poolKey, address, port } = endpoint;
    const place = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const name = { upstreamId: poolKey.slice(upstreamKey.length), targetId, address: place };
    const start = { activity: 0, inFlight: 0, buckets: new Uint32Array(latencyBucketCount), base: noTotal };
    const told = { ...(former?.endpoint === endpoint ? former : start), endpoint, name, isTold: false };
    this.#byRow.set(row, told);
    return told;
  }

  /** Not in the configuration, or not resolved, any more: it is told of until nothing is under way there. */
  #lookAtFormer(told: Told, isAll: boolean, piece: EndpointTraffic[]): void {
    if (this.#options.table.inFlight(told.endpoint.row) === 0) this.#goes(told, isAll, piece);
    else if (isAll || this.#isChanged(told)) piece.push(this.#tell(told, isAll));
  }

  #isChanged({ endpoint: { row }, activity, inFlight }: Told): boolean {
    const { table, totals } = this.#options;
    return totals.activity(row) !== activity || table.inFlight(row) !== inFlight;
  }

  #goes(told: Told, isAll: boolean, piece: EndpointTraffic[]): void {
    // Where all is told, what is not told is gone.
    if (told.isTold && !isAll) piece.push({ ...told.name, gone: true });
    told.isTold = false;
    told.base = this.#options.totals.read(told.endpoint.row);
    this.#tell(told, true);
    told.isTold = false;
  }

  /** @param withoutInterval nothing is told of the time since it was last told of */
  #tell(told: Told, withoutInterval: boolean): EndpointTraffic {
    const { table, totals } = this.#options;
    const { base, buckets, name } = told;
    const { row } = told.endpoint;
    // Before what it stands for: what is counted meanwhile is told once more.
    told.activity = totals.activity(row);
    told.inFlight = table.inFlight(row);
    told.isTold = true;
    const latencyBuckets: number[] = [];
    const latencyCounts: number[] = [];
    totals.readBuckets(row, this.#sums);
    for (let bucket = 0; bucket < latencyBucketCount; bucket++) {
      const count = (this.#sums[bucket]! - buckets[bucket]!) >>> 0;
      if (count === 0) continue;
      buckets[bucket] = this.#sums[bucket]!;
      if (withoutInterval) continue;
      latencyBuckets.push(bucket);
      latencyCounts.push(count);
    }
    const total = totals.read(row);
    return {
      ...name,
      requestCount: BigInt(total.requests - base.requests),
      answerCount: BigInt(total.answers - base.answers),
      clientErrorCount: BigInt(total.clientErrors - base.clientErrors),
      serverErrorCount: BigInt(total.serverErrors - base.serverErrors),
      lossCount: BigInt(total.losses - base.losses),
      ejectionCount: BigInt(total.ejections - base.ejections),
      inFlight: told.inFlight,
      latencyBuckets,
      latencyCounts,
    };
  }
}

const upstreamKey = "upstream:";
