import { describe, expect, it } from "vitest";
import type { EndpointConfig, PoolConfig, RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import { RouteCell, TrafficMetrics } from "../proxy/traffic-metrics.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import { metricsText, ourMetric } from "./metrics-text.ts";
import { trafficFamilies } from "./traffic-families.ts";
import { TrafficTotals } from "./traffic-totals.ts";

interface Family {
  readonly type: string;
  readonly samples: Map<string, number>;
}

/** Reads the text format as strictly as it is written down; throws at the first line that is not of it. */
function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current = "";
  expect(text.endsWith("\n")).toBe(true);
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-z_:][a-z0-9_:]*) \S/.exec(line);
    const type = /^# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      current = help[1]!;
      if (families.has(current)) throw new Error(`${current} comes twice`);
      continue;
    }
    if (type !== null) {
      if (type[1] !== current) throw new Error(`type of another metric: ${line}`);
      families.set(current, { type: type[2]!, samples: new Map() });
      continue;
    }
    const sample = /^([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.e+-]+)$/.exec(line);
    if (sample === null) throw new Error(`not of the format: ${JSON.stringify(line)}`);
    const family = families.get(current)!;
    const suffix = sample[1]!.slice(current.length);
    const isOfFamily = sample[1]!.startsWith(current) && (suffix === "" || family.type === "histogram");
    if (!isOfFamily) throw new Error(`not of ${current}: ${line}`);
    const key = `${suffix}${sample[2] ?? ""}`;
    if (family.samples.has(key)) throw new Error(`comes twice: ${line}`);
    family.samples.set(key, Number(sample[3]));
  }
  return families;
}

const route = (name: string | null) => ({ id: `id of ${name}`, name }) as RouteConfig;
const service = { id: "s1", name: "shop" } as ServiceConfig;
const pool = { key: "upstream:u", name: "u" } as PoolConfig;
const endpoint = { address: "::1", port: 80, row: 0 } as EndpointConfig;
const snapshot = {} as ServedSnapshot;

function request(more: object = {}) {
  return {
    route: route("r"),
    routeSlot: 0,
    service,
    place: null,
    status: 200,
    bytesIn: 10,
    bytesOut: 20,
    answerLatencyMs: 3,
    ...more,
  };
}

function expositionOf(...workers: TrafficMetrics[]): Map<string, Family> {
  const upstreamConnections = { labels: ["other", "[::1]:80"], cells: Float64Array.of(0, 0, 5, 2) };
  const reports = workers.map((traffic, workerIndex) => {
    return { workerIndex, connectionCount: 7, traffic: traffic.read(), upstreamConnections };
  });
  const families = trafficFamilies(new TrafficTotals(100).sum(reports));
  return parseExposition(metricsText([ourMetric("requests", "counter", 3), ...families]));
}

describe("trafficFamilies", () => {
  it("tells the traffic of all workers, in a text that parses as a whole", () => {
    const workers = [new TrafficMetrics(10), new TrafficMetrics(10)];
    for (const worker of workers) {
      worker.countRequest(request(), 4, snapshot);
      worker.countRequest(request({ status: 503, answerLatencyMs: -1 }), 40_000, snapshot);
      worker.countAttempt(pool, endpoint);
      worker.countLoss(pool, endpoint, "refused");
      worker.countEjection(pool, endpoint);
    }
    const families = expositionOf(...workers);
    const of = (name: string) => Object.fromEntries(families.get(name)!.samples);
    expect(of("penstock_http_requests_total")).toEqual({
      '{service="shop",route="r",class="2xx"}': 2,
      '{service="shop",route="r",class="5xx"}': 2,
    });
    expect(of("penstock_http_bytes_total")).toEqual({
      '{service="shop",route="r",direction="in"}': 40,
      '{service="shop",route="r",direction="out"}': 80,
    });
    const durations = of("penstock_http_request_duration_seconds");
    expect(durations['_bucket{service="shop",route="r",le="0.002"}']).toBe(0);
    expect(durations['_bucket{service="shop",route="r",le="0.005"}']).toBe(2);
    expect(durations['_bucket{service="shop",route="r",le="30"}']).toBe(2);
    expect(durations['_bucket{service="shop",route="r",le="+Inf"}']).toBe(4);
    expect(durations['_count{service="shop",route="r"}']).toBe(4);
    expect(durations['_sum{service="shop",route="r"}']).toBeCloseTo(80.008);
    expect(of("penstock_http_upstream_latency_seconds")['_count{service="shop",route="r"}']).toBe(2);
    const target = 'upstream="u",target="[::1]:80"';
    expect(of("penstock_target_attempts_total")).toEqual({ [`{${target}}`]: 2 });
    expect(of("penstock_target_ejections_total")).toEqual({ [`{${target}}`]: 2 });
    expect(of("penstock_target_failures_total")).toEqual({ [`{${target},reason="refused"}`]: 2 });
    expect(of("penstock_upstream_connections")).toEqual({
      '{target="[::1]:80",state="active"}': 6,
      '{target="[::1]:80",state="idle"}': 4,
    });
    expect(of("penstock_worker_connections")).toEqual({ '{worker="0"}': 7, '{worker="1"}': 7 });
  });

  it.each([
    { name: 'a"b', want: 'a\\"b' },
    { name: "a\\b", want: "a\\\\b" },
    { name: "a\nb", want: "a\\nb" },
    { name: "a\r\u001b[2Jb", want: "a\ufffd\ufffd[2Jb" },
    { name: '"} 1\nfake{x="', want: '\\"} 1\\nfake{x=\\"' },
    { name: "größe", want: "größe" },
  ])("escapes the label of a route called $name", ({ name, want }) => {
    const worker = new TrafficMetrics(10);
    worker.countRequest(request({ route: route(name) }), 1, snapshot);
    const labels = [...expositionOf(worker).get("penstock_http_requests_total")!.samples.keys()];
    expect(labels).toEqual([`{service="shop",route="${want}",class="2xx"}`]);
  });

  it("gives what has no route, and what is over the limit, a series each", () => {
    const worker = new TrafficMetrics(2);
    worker.countRequest(request({ route: null, routeSlot: -1, service: null, status: 404 }), 1, snapshot);
    for (const name of ["a", "b", "c"]) worker.countRequest(request({ route: route(name) }), 1, snapshot);
    worker.countRequest(request({ route: null, routeSlot: -1, service: null, status: 0 }), 1, snapshot);
    expect(Object.fromEntries(expositionOf(worker).get("penstock_http_requests_total")!.samples)).toEqual({
      '{service="",route="",class="4xx"}': 1,
      '{service="",route="",class="5xx"}': 1,
      '{service="shop",route="a",class="2xx"}': 1,
      '{service="other",route="other",class="2xx"}': 2,
    });
  });
});

describe("TrafficTotals", () => {
  it("keeps what a lost worker has carried, and what was counted under other snapshots", () => {
    const totals = new TrafficTotals(10);
    const lost = new TrafficMetrics(10);
    lost.countRequest(request(), 1, snapshot);
    totals.keep(lost.read());
    const successor = new TrafficMetrics(10);
    successor.countRequest(request(), 1, snapshot);
    // The same route as another object, as each snapshot brings it.
    successor.countRequest(request({ route: route("r") }), 1, {} as ServedSnapshot);
    const report = {
      workerIndex: 0,
      connectionCount: 0,
      traffic: successor.read(),
      upstreamConnections: { labels: [], cells: new Float64Array(0) },
    };
    const [series] = [...totals.sum([report]).routes.entries()];
    expect([series!.labels, series!.cells[RouteCell.answers[1]]]).toEqual([["shop", "r"], 3]);
  });
});
