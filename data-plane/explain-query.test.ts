import { describe, expect, it } from "vitest";
import { answerExplain, type ExplainQueryParts } from "./explain-query.ts";
import { EndpointHealth, type SeenEndpoint } from "./health-check/endpoint-health.ts";
import type { ExplainedEndpoint, ExplainQuestion, Explanation } from "./proxy/explanation.ts";
import { EndpointRows } from "./upstream/endpoint-rows.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";

const question = { scheme: "https", method: "GET", host: "a.test", path: "/", clientAddress: "::1", sni: "A.test" };

const endpoint: ExplainedEndpoint = {
  ...{ row: 0, address: "10.0.0.1:80", weight: 100, priority: 0, isLocal: true, inFlight: 0, inFlightMax: 0, ramp: 1 },
  ...{ isIn: true, share: 1, picked: true, next: false, role: "in_use" },
};

const explanation: Explanation = {
  publication: 7,
  revision: 8,
  outcome: { kind: "KIND_PROXIED", status: 0, error: "", message: "", detail: "", location: "" },
  otherRoutes: [],
  moreRouteCount: 0,
  pool: {
    ...{ key: "upstream:u", name: "u-name", isUpstream: true, algorithm: "round-robin", hashOn: "", hashValue: "" },
    ...{ hashIsMissing: false, isPanic: false, emptyBecause: "", inFlight: 0 },
    ...{ inFlightMax: 0, queued: 0, queueSize: 0 },
  },
  endpoints: [endpoint],
  moreEndpointCount: 0,
  picked: "10.0.0.1:80",
  notes: [],
};

/** An upstream with two endpoints and a target without address, of which something may be told. */
function rig(explained: Explanation = explanation) {
  const table = EndpointTable.create({ endpointRowsMax: 10, poolRowsMax: 2 });
  const rows = new EndpointRows(table, 300_000);
  const poolRow = rows.poolRow("upstream:u")!;
  const seen = ["a.test", "b.test"].map((host, i): SeenEndpoint => {
    const row = rows.endpointRow({
      targetId: `t${i}`,
      poolKey: "upstream:u",
      host,
      address: `10.0.0.${i + 1}`,
      port: 80,
    });
    return { endpoint: rows.endpointAt(row!), facts: factsOf(`t${i}`, `${host}:80`, `10.0.0.${i + 1}:80`) };
  });
  const health = new EndpointHealth({ table, rows, nowUnixMs: () => 1_717_000_000_000, onTransition: () => {} });
  health.change([], [...seen, { endpoint: null, facts: { ...factsOf("t2", "c.test:80", ""), dns: "ENOTFOUND" } }]);
  const asked: ExplainQuestion[] = [];
  const parts: ExplainQueryParts = {
    health: { endpoints: health },
    rows,
    workers: {
      async explain(one) {
        asked.push(one);
        return explained;
      },
    },
  };
  const ask = async (body: object) => {
    const bytes = await answerExplain(parts, Buffer.from(JSON.stringify(body)));
    return { size: bytes.length, answer: JSON.parse(Buffer.from(bytes).toString()) };
  };
  return { table, poolRow, health, seen, asked, ask };
}

function factsOf(targetId: string, target: string, address: string): SeenEndpoint["facts"] {
  return {
    upstreamId: "u",
    upstreamName: "u-name",
    serviceId: "",
    targetId,
    target,
    address,
    weight: 100,
    isChecked: false,
    dns: "A",
  };
}

describe("answerExplain", () => {
  it("adds whose an endpoint is, and why it is out since when", async () => {
    const out = { ...endpoint, row: 1, address: "10.0.0.2:80", isIn: false, picked: false, share: 0, role: "ejected" };
    const { table, poolRow, health, seen, asked, ask } = rig({ ...explanation, endpoints: [endpoint, out] });
    table.eject(poolRow, 1);
    health.told(seen[1]!.endpoint!, "outlier", "it \ud800 refuses");
    const { answer } = await ask({ ...question, node: "", headers: [{ name: "X-A" }] });
    expect(asked).toEqual([{ ...question, sni: "a.test", headers: [{ name: "X-A", value: "" }] }]);
    expect(answer).toMatchObject({ publication: "7", revision: "8", pool: { name: "u-name" } });
    expect(answer.pool.key).toBeUndefined();
    const since = "2024-05-29T16:26:40.000Z";
    const { row: _0, ...first } = endpoint;
    const { row: _1, ...second } = out;
    expect(answer.endpoints).toEqual([
      { ...first, targetId: "t0", target: "a.test:80" },
      { ...second, targetId: "t1", target: "b.test:80", source: "outlier", reason: "it \ufffd refuses", since },
      {
        ...{ address: "", weight: 100, priority: 0, isLocal: true, inFlight: 0, inFlightMax: 0, ramp: 1, isIn: false },
        ...{ share: 0, picked: false, next: false, role: "out", targetId: "t2", target: "c.test:80" },
        ...{ source: "dns", reason: "the name has no address: ENOTFOUND", since },
      },
    ]);
  });

  it("tells of nobody's endpoints where there is no pool", async () => {
    const { pool: _, ...unrouted } = { ...explanation, endpoints: [], picked: "" };
    const { answer } = await rig(unrouted).ask(question);
    expect(answer.endpoints).toEqual([]);
    expect(answer.pool).toBeUndefined();
  });

  it("keeps to what a message may hold", async () => {
    const many = Array.from({ length: 1_000 }, () => ({ ...endpoint, address: "x".repeat(2_000) }));
    const { answer, size } = await rig({ ...explanation, endpoints: many }).ask(question);
    expect(size).toBeLessThanOrEqual(786_432);
    expect(answer.endpoints.length + answer.moreEndpointCount).toBe(1_001);
    expect(answer.endpoints.length).toBeGreaterThan(200);
  });

  it.each([
    { ...question, scheme: "ftp" },
    { ...question, method: 5 },
    { ...question, clientAddress: "a.test" },
    { ...question, headers: [5] },
    { ...question, headers: {} },
  ])("rejects what is no question: %j", async (body) => {
    await expect(rig().ask(body)).rejects.toThrow(/^its? /);
  });
});
