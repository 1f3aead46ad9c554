import type { EndpointConfig } from "../config/worker-config.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import type { AccessFacts, Named } from "./access-line.ts";
import { escaped } from "./escaped.ts";
import { flat } from "./repeated-lines.ts";
import { addressText } from "./traffic-metrics.ts";

/** Where a route led, as text of the line. */
interface Place extends Pick<AccessFacts, "service" | "pool"> {
  readonly text: string;
}

/**
 * What the lines of many requests have in common, written once for each snapshot: 0.3 of 1.0 us a line. Found by the
 * identity of the config's objects, as in TrafficMetrics.
 */
export class AccessLineParts {
  #snapshot: ServedSnapshot | null = null;
  readonly #byRoute = new Map<Named, Place>();
  readonly #byEndpoint = new Map<EndpointConfig, string>();
  readonly #okByEndpoint = new Map<EndpointConfig, string>();
  #secondUnixMs = -1;
  #secondText = "";

  /** The line's beginning: all of it but the milliseconds is made once a second. */
  beforeId(nowUnixMs: number): string {
    const ms = nowUnixMs % 1_000;
    if (nowUnixMs - ms !== this.#secondUnixMs) {
      this.#secondUnixMs = nowUnixMs - ms;
      this.#secondText = flat(`{"time":"${new Date(nowUnixMs).toISOString().slice(0, 20)}`);
    }
    return this.#secondText + afterSecond[ms]!;
  }

  beforeBytes(status: number): string {
    return beforeBytes[status]!;
  }

  /** Another snapshot brings other objects. */
  follow(snapshot: ServedSnapshot | null): void {
    if (snapshot === this.#snapshot) return;
    this.#snapshot = snapshot;
    this.#byRoute.clear();
    this.#byEndpoint.clear();
    this.#okByEndpoint.clear();
  }

  /** Route, service and upstream. */
  place(facts: AccessFacts): string {
    const { route, service, pool } = facts;
    if (route === null || pool === null) return placeText(facts);
    const known = this.#byRoute.get(route);
    // A request that began under the snapshot before may have come by the same route to another service or upstream.
    if (known !== undefined && known.service === service && known.pool === pool) return known.text;
    const text = flat(placeText(facts));
    this.#byRoute.set(route, { service, pool, text });
    return text;
  }

  /** The beginning of an attempt. */
  attemptAt(endpoint: EndpointConfig): string {
    const known = this.#byEndpoint.get(endpoint);
    if (known !== undefined) return known;
    const text = flat(`{"address":"${escaped(addressText(endpoint.address, endpoint.port))}","outcome":"`);
    this.#byEndpoint.set(endpoint, text);
    return text;
  }

  /** The same of an attempt that went well, with how it ended. */
  okAt(endpoint: EndpointConfig): string {
    const known = this.#okByEndpoint.get(endpoint);
    if (known !== undefined) return known;
    const text = flat(`${this.attemptAt(endpoint)}ok","ms":`);
    this.#okByEndpoint.set(endpoint, text);
    return text;
  }
}

function placeText({ route, service, pool }: AccessFacts): string {
  const upstream = pool === null ? "" : escaped(pool.config.name);
  return `,"route":"${nameOf(route)}","service":"${nameOf(service)}","upstream":"${upstream}","attempts":[`;
}

function nameOf(named: Named | null): string {
  return named === null ? "" : escaped(named.name ?? named.id);
}

const afterSecond = Array.from({ length: 1_000 }, (_, ms) => flat(`${String(ms).padStart(3, "0")}Z","request_id":"`));
/** By status, which is below 600; 0 when the client left before it was answered. */
const beforeBytes = Array.from({ length: 600 }, (_, status) => flat(`","status":${status},"bytes_in":`));
