import { expect, it } from "vitest";
import type { EndpointState } from "../balance/endpoint-state.ts";
import { noTls } from "../config/tls-config.ts";
import { testPool } from "../config/worker-config.test-entities.ts";
import type { RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import { type ServedSnapshot, SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import { RouteCell, TrafficMetrics } from "./traffic-metrics.ts";

it("counts by service, also where another config has the same route to another one", () => {
  const state = { generation: () => 0, cursor: () => 0 } as unknown as EndpointState;
  const holder = new SnapshotHolder(state, 1);
  const metrics = new TrafficMetrics(10);
  const of = (n: number, id: string) =>
    ({
      publication: n,
      revision: n,
      tls: noTls,
      pools: [testPool({ key: "a", name: "a" })],
      services: [{ id, name: id, protocol: "http", poolIndex: 0, tls: null }],
      routes: [
        {
          id: "r",
          name: "r",
          protocols: ["http"],
          methods: null,
          hosts: null,
          paths: ["/"],
          headers: null,
          snis: null,
          serviceIndex: 0,
          retry: null,
        },
      ],
    }) as never;
  holder.apply(of(1, "billing"), []);
  const one = holder.current!;
  holder.apply(of(2, "search"), []);
  const two = holder.current!;
  const request = { routeSlot: 0, place: null, status: 200, bytesIn: 0, bytesOut: 0, answerLatencyMs: -1 };
  // Begun before, ended after the swap; then three of the new config.
  metrics.countRequest({ ...request, route: one.routes.routes[0]!, service: one.services[0]! }, 1, two);
  for (let i = 0; i < 3; i++)
    metrics.countRequest({ ...request, route: two.routes.routes[0]!, service: two.services[0]! }, 1, two);
  // Where the first one stood when its attempts began says nothing of where it is counted now.
  const other = new TrafficMetrics(10);
  const routed = (of: ServedSnapshot) => ({ route: of.routes.routes[0]!, routeSlot: 0, service: of.services[0]! });
  const place = other.placeOf(routed(one), one);
  other.countRequest({ ...request, route: one.routes.routes[0]!, service: one.services[0]!, place }, 1, two);
  expect([place.offset > 0, other.read().routes.labels.slice(2)]).toEqual([true, ["billing", "r"]]);
  expect(other.placeOf(routed(two), two)).not.toBe(place);
  const { labels, cells } = metrics.read().routes;
  const width = cells.length / (labels.length / 2);
  const counts = Object.fromEntries(
    Array.from({ length: labels.length / 2 }, (_, i) => [labels[2 * i], cells[i * width + RouteCell.answers[1]]]),
  );
  expect([one.routes.routes[0] === two.routes.routes[0], counts]).toEqual([true, { other: 0, billing: 1, search: 3 }]);
});

it("counts a request that ends after its series had to make room in other, and not where another route is now", () => {
  const metrics = new TrafficMetrics(1);
  const [gone, next] = [{ id: "gone" }, { id: "next" }] as RouteConfig[];
  const service = { id: "s" } as ServiceConfig;
  const [before, after] = [{}, {}] as ServedSnapshot[];
  const place = metrics.placeOf({ route: gone!, routeSlot: 0, service }, before!);
  expect(metrics.placeOf({ route: next!, routeSlot: 0, service }, after!).offset).toBe(place.offset);
  const request = { routeSlot: 0, status: 200, bytesIn: 0, bytesOut: 0, answerLatencyMs: -1 };
  metrics.countRequest({ ...request, route: gone!, service, place }, 1, after!);
  const { labels, cells } = metrics.read().routes;
  expect(labels).toEqual(["other", "other", "s", "next"]);
  expect([cells[RouteCell.answers[1]], cells[place.offset + RouteCell.answers[1]]]).toEqual([1, 0]);
});
