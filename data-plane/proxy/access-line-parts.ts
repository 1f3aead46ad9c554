import type { EndpointConfig } from "../config/worker-config.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import type { AccessFacts, Named } from "./access-line.ts";
import { escaped } from "./escaped.ts";
import { addressText } from "./traffic-metrics.ts";

/**
 * What the lines of many requests have in common, written once for each snapshot: 0.3 of 1.0 us a line. Found by the
 * identity of the config's objects, as in TrafficMetrics.
 */
export class AccessLineParts {
  #snapshot: ServedSnapshot | null = null;
  readonly #byRoute = new Map<Named, string>();
  readonly #byEndpoint = new Map<EndpointConfig, string>();

  /** Another snapshot brings other objects. */
  follow(snapshot: ServedSnapshot | null): void {
    if (snapshot === this.#snapshot) return;
    this.#snapshot = snapshot;
    this.#byRoute.clear();
    this.#byEndpoint.clear();
  }

  /** Route, service and upstream. */
  place(facts: AccessFacts): string {
    const { route, pool } = facts;
    // A request with a pool has come all the way: its route says the rest.
    if (route === null || pool === null) return placeText(facts);
    const known = this.#byRoute.get(route);
    if (known !== undefined) return known;
    const text = placeText(facts);
    this.#byRoute.set(route, text);
    return text;
  }

  /** The beginning of an attempt. */
  attemptAt(endpoint: EndpointConfig): string {
    const known = this.#byEndpoint.get(endpoint);
    if (known !== undefined) return known;
    const text = `{"address":"${escaped(addressText(endpoint.address, endpoint.port))}","outcome":"`;
    this.#byEndpoint.set(endpoint, text);
    return text;
  }
}

function placeText({ route, service, pool }: AccessFacts): string {
  const upstream = pool === null ? "" : escaped(pool.config.name);
  return `"route":"${nameOf(route)}","service":"${nameOf(service)}","upstream":"${upstream}","attempts":[`;
}

function nameOf(named: Named | null): string {
  return named === null ? "" : escaped(named.name ?? named.id);
}
