import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { NodeSchema, NodeState } from "../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { needsCare, nodePage, nodesTable } from "./nodes-table.ts";

const nowMs = 1_717_000_000_000;
const node = (given: MessageInitShape<typeof NodeSchema> = {}) =>
  create(NodeSchema, {
    id: "n1",
    hostname: "h1",
    address: "10.0.0.1:5000",
    build: "0.1.0",
    connected: true,
    connectedAt: timestampFromMs(nowMs - 60_000),
    state: NodeState.IN_SYNC,
    publication: 7n,
    revision: 6n,
    epochCounter: 5n,
    stateHash: new Uint8Array(32).fill(0xab),
    applyDuration: durationFromMs(12),
    ...given,
  });
const stale = {
  state: NodeState.STALE,
  stateReason: "no such path",
  lag: 2n,
  lagTime: durationFromMs(130_000),
  nackCount: 1n,
  lastNack: {
    ...{ publication: 9n, entityKind: "route", entityName: "r", field: "paths.0", reason: "invalid_entity" },
    message: `no such\npath ${"x".repeat(80)}`,
  },
};
const figures = {
  requestsPerSecond: 12.34,
  errorRatio: 0.05,
  requestCount: 100n,
  failureCount: 5n,
  connectionCount: 3n,
  endpointCount: 4,
  healthyEndpointCount: 3,
  workers: [
    { number: 1, role: "serving", publication: 7n, requestCount: 60n, connectionCount: 2n, heapBytes: 2n ** 24n },
  ],
};
const unsupported = [
  {
    capability: "config.tiers",
    feature: "tiers of targets",
    entityCount: 30n,
    entities: [{ kind: "target", id: "t", name: "a:80", field: "zone" }],
  },
];

describe("nodesTable", () => {
  it("has a line of each node", () => {
    const certificate = { expiresAt: timestampFromMs(nowMs + 3 * 3_600_000) };
    const table = nodesTable([node({ figures, certificate }), node({ id: "n2", ...stale, unsupported })], nowMs);
    expect(table.map((line) => line.replace(/ {2,}/g, " | "))).toEqual([
      "NODE | HOST | STATE | PUBLICATION | BEHIND | REQ/S | ERR % | HEALTHY | CERT | BUILD | LAST REFUSAL",
      "n1 | h1 | in sync | 7 | - | 12.3 | 5.0 | 3 of 4 | 3 h | 0.1.0",
      expect.stringMatching(
        /^n2 \| h1 \| stale, too old \| 7 \| 2 \(2 min\) \| none \| 0\.1\.0 \| 9: route r paths\.0 no such path x+\.\.\.$/,
      ),
    ]);
  });

  it.each([
    { name: "expired", certificate: { expiresAt: timestampFromMs(nowMs) }, want: "expired" },
    { name: "was not renewed", certificate: { expiresAt: timestampFromMs(nowMs + 3_500_000) }, want: "58 min!" },
    { name: "was revoked", certificate: { revokedAt: timestampFromMs(1) }, want: "revoked" },
  ])("shows a certificate that $name", ({ certificate, want }) => {
    expect(nodesTable([node({ certificate })], nowMs)[1]).toContain(want);
  });
});

describe("nodePage", () => {
  it("has all that is known of a node, worker by worker", () => {
    const text = nodePage(node({ ...stale, figures, unsupported }), nowMs).join("\n");
    for (const part of [
      "state            stale: no such path",
      "connected since  2024-05-29T16:25:40.000Z",
      "serves           publication 7, revision 6, epoch 5, hash abababababababab...",
      "applied in       12 ms",
      "refused          1 publications",
      "endpoints        3 of 4 healthy",
      "too old for      tiers of targets (config.tiers): target a:80 zone, and 29 more",
      "WORKER  ROLE     PUBLICATION  REQUESTS  CONNECTIONS  HEAP",
      "1       serving  7            60        2            16 MiB",
    ])
      expect(text).toContain(part);
  });

  it("says that a node serves nothing", () => {
    expect(nodePage(node({ publication: 0n, stateHash: new Uint8Array() }), nowMs).join("\n")).toContain(
      "serves           nothing",
    );
  });
});

describe("needsCare", () => {
  it.each([
    { name: "is in sync", given: {}, want: false },
    { name: "catches up", given: { state: NodeState.LAGGING, lag: 2n }, want: false },
    { name: "is stale", given: { state: NodeState.STALE }, want: true },
    { name: "is away", given: { state: NodeState.DISCONNECTED }, want: true },
    { name: "refused the newest", given: { ...stale, state: NodeState.LAGGING }, want: true },
    { name: "refused an older one", given: { ...stale, state: NodeState.IN_SYNC, lag: 0n }, want: false },
    { name: "is too old", given: { unsupported }, want: true },
  ])("is $want for a node that $name", ({ given, want }) => {
    expect(needsCare(node(given))).toBe(want);
  });
});
