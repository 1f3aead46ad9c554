import { describe, expect, it } from "vitest";
import { latencyBucketCount } from "../../proto/latency-buckets.ts";
import { EndpointCounts } from "../telemetry/endpoint-counts.ts";
import { type EndpointTotal, EndpointTotals, noTotal } from "../telemetry/endpoint-totals.ts";
import { all, askInTurn as ask, hello, pathOf, say } from "./failing-endpoints.test-rig.ts";
import { backend, closedPort, get, post, type RigOptions, rig } from "./proxy-server.test-rig.ts";

async function countingRig(options: RigOptions) {
  const totals = new EndpointTotals();
  const endpointCounts = new EndpointCounts((index, buffer) => totals.add(0, index, buffer));
  const proxy = await rig({ ...options, server: { endpointCounts } });
  const totalOf = (row: number, expected: Partial<EndpointTotal>) =>
    expect(totals.read(row)).toEqual({ ...noTotal, ...expected });
  const timedCount = (row: number) => {
    const buckets = new Uint32Array(latencyBucketCount);
    totals.readBuckets(row, buckets);
    return buckets.reduce((sum, count) => sum + count, 0);
  };
  return { proxy, totalOf, timedCount };
}

describe("what is counted of an endpoint", () => {
  it("is every request sent there and every answer, by class and by how long it took", async () => {
    const target = await backend((request, socket) => say(socket, Number(pathOf(request).slice(1))));
    const { proxy, totalOf, timedCount } = await countingRig({ ports: [target.port] });
    for (const status of [200, 301, 404, 429, 500, 503])
      expect(await ask(proxy, 1, post(`/${status}`, "x"))).toEqual([status]);
    totalOf(0, { requests: 6, answers: 6, clientErrors: 2, serverErrors: 2 });
    expect(timedCount(0)).toBe(6);
    totalOf(1, {});
  });

  it("is also an answer that another endpoint was asked to better, and that it was taken out", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const { proxy, totalOf, timedCount } = await countingRig({ ports: [bad.port, good.port] });
    expect(await ask(proxy, 40, get("/"))).toEqual(all(40, 200));
    totalOf(0, { requests: 5, answers: 5, serverErrors: 5, ejections: 1 });
    totalOf(1, { requests: 40, answers: 40 });
    expect([timedCount(0), timedCount(1)]).toEqual([5, 40]);
  });

  it("is also a request that came to nothing", async () => {
    const good = await hello();
    const { proxy, totalOf } = await countingRig({ ports: [await closedPort(), good.port] });
    expect(await ask(proxy, 10, get("/"))).toEqual(all(10, 200));
    totalOf(0, { requests: 1, losses: 1, ejections: 1 });
    totalOf(1, { requests: 10, answers: 10 });
  });

  it("is an answer that was cut, as both", async () => {
    const target = await backend((_, socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    const { proxy, totalOf } = await countingRig({ ports: [target.port] });
    await proxy.client().send(get("/")).closed;
    totalOf(0, { requests: 1, answers: 1, losses: 1 });
  });
});
