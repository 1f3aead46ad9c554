import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { metricsText, ourMetric } from "./metrics-text.ts";
import { openStatusServer, type StatusSource } from "./status-server.ts";

async function open(given: Partial<StatusSource> = {}): Promise<string> {
  const server = await openStatusServer("127.0.0.1", 0, {
    unmetConditions: () => [],
    status: async () => ({ node_id: "n" }),
    endpoints: () => ({ endpoints: [] }),
    metrics: async () => [{ name: "penstock_x_total", type: "counter", help: "X.", value: 3 }],
    names: () => ({ names: [] }),
    ...given,
  });
  onTestFinished(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}

describe("openStatusServer", () => {
  it.each([
    { path: "/status", status: 200, type: "application/json; charset=utf-8", body: '{"node_id":"n"}' },
    { path: "/status?x=1", status: 200, type: "application/json; charset=utf-8", body: '{"node_id":"n"}' },
    { path: "/endpoints", status: 200, type: "application/json; charset=utf-8", body: '{"endpoints":[]}' },
    { path: "/status/ready", status: 200, type: "application/json; charset=utf-8", body: '{"message":"ready"}' },
    { path: "/names", status: 200, type: "application/json; charset=utf-8", body: '{"names":[]}' },
    { path: "/status/", status: 404, type: "application/json; charset=utf-8", body: '{"message":"Not found"}' },
    { path: "/", status: 404, type: "application/json; charset=utf-8", body: '{"message":"Not found"}' },
  ])("answers GET $path with $status", async ({ path, status, type, body }) => {
    const response = await fetch((await open()) + path);
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe(type);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.text()).toBe(body);
  });

  it("says why the node is not ready, all of it", async () => {
    const unmet = [
      { condition: "draining", reason: "draining" },
      { condition: "in-sync", reason: "not in sync" },
    ];
    const response = await fetch(`${await open({ unmetConditions: () => unmet })}/status/ready`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ message: "draining; not in sync", unmet });
  });

  it("shows the metrics in the text format", async () => {
    const response = await fetch(`${await open()}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await response.text()).toBe(
      "# HELP penstock_x_total X.\n# TYPE penstock_x_total counter\npenstock_x_total 3\n",
    );
  });

  it("answers HEAD without a body", async () => {
    const response = await fetch(`${await open()}/status`, { method: "HEAD" });
    expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "15", ""]);
  });

  it("changes nothing: other methods are refused", async () => {
    const response = await fetch(`${await open()}/status`, { method: "POST", body: "x" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(await response.json()).toEqual({ message: "Method not allowed" });
  });

  it("answers 500 when the status cannot be told, and goes on", async () => {
    const url = await open({ status: () => Promise.reject(new Error("no status")) });
    expect((await fetch(`${url}/status`)).status).toBe(500);
    expect((await fetch(`${url}/status/ready`)).status).toBe(200);
  });

  it("survives what is no HTTP", async () => {
    const url = await open();
    const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    socket.end("\x00\x01 nonsense\r\n\r\n").resume();
    await once(socket, "close");
    expect((await fetch(`${url}/status`)).status).toBe(200);
  });

  it("rejects when the port is taken", async () => {
    const port = Number(new URL(await open()).port);
    const source = {
      unmetConditions: () => [],
      status: async () => ({}),
      endpoints: () => ({}),
      metrics: async () => [],
      names: () => ({}),
    };
    await expect(openStatusServer("127.0.0.1", port, source)).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("metricsText", () => {
  it("escapes help texts", () => {
    expect(metricsText([{ name: "a", type: "gauge", help: "b\\c\nd", value: 0.5 }])).toBe(
      "# HELP a b\\\\c\\nd\n# TYPE a gauge\na 0.5\n",
    );
  });
});

describe("ourMetric", () => {
  it.each([
    {
      type: "counter" as const,
      want: { name: "penstock_workers_lost_total", help: "Workers lost since the node started." },
    },
    { type: "gauge" as const, want: { name: "penstock_workers_lost", help: "Workers lost." } },
  ])("names a $type", ({ type, want }) => {
    expect(ourMetric("workers_lost", type, 1)).toEqual({ ...want, type, value: 1 });
  });
});
