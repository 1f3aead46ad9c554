import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ExplainOutcome_Kind, ExplainResponseSchema } from "../proto/gen/penstock/admin/v1/explain_pb.ts";
import { explainReport, isProxied } from "./explain-report.ts";

type Fields = Exclude<Parameters<typeof create<typeof ExplainResponseSchema>>[1], undefined>;

const response = (fields: Omit<Fields, "$typeName">) =>
  create(ExplainResponseSchema, {
    node: { id: "n1", hostname: "h1" },
    publication: 12n,
    request: { scheme: "http", method: "GET", host: "a.test", path: "/x", query: "?y", clientAddress: "127.0.0.1" },
    ...fields,
  });

const proxied = response({
  outcome: { kind: ExplainOutcome_Kind.PROXIED },
  route: { id: "1", name: "r", path: "/x" },
  otherRoutes: Array.from({ length: 12 }, (_, i) => ({ id: `id-${i}`, reasons: [`reason ${i}`, "another"] })),
  moreRouteCount: 5,
  service: { id: "2", name: "s", protocol: "http" },
  pool: { name: "u", isUpstream: true, algorithm: "round-robin" },
  retry: { retries: 5, mayRepeat: false },
  endpoints: [
    {
      address: "127.0.0.1:1",
      target: "b.test:1",
      weight: 100,
      share: 0.667,
      inFlight: 2,
      inFlightMax: 9,
      isIn: true,
      picked: true,
      ramp: 1,
      role: "in_use",
    },
    {
      ...{
        address: "127.0.0.1:2",
        target: "c.test:2",
        weight: 50,
        share: 0.333,
        isIn: true,
        next: true,
        ramp: 0.1,
        role: "held_back",
      },
      ...{ source: "outlier", reason: "it answers\u001b[2J again", since: timestampFromMs(1_717_000_000_000) },
    },
    { target: "d.test:3", weight: 1, source: "dns", reason: "the name has no address", ramp: 1, role: "out" },
  ],
  picked: "127.0.0.1:1",
  rewritten: {
    address: "127.0.0.1:1",
    method: "GET",
    target: "/y",
    host: "b.test:1",
    headers: [{ name: "Via", value: "1.1 \u009b31mpenstock" }],
  },
  notes: ["a note"],
});

describe("explainReport", () => {
  it("says where a request goes and why", () => {
    expect(isProxied(proxied)).toBe(true);
    expect(explainReport(proxied)).toBe(
      [
        "GET http://a.test/x?y from 127.0.0.1, asked of node n1 (h1), publication 12",
        "It goes to 127.0.0.1:1.",
        "",
        "Route: r, by its path /x",
        "Other routes:",
        ...Array.from({ length: 10 }, (_, i) => `  id-${i}  reason ${i}; another`),
        "  and 7 more",
        "",
        "Service: s, http, 5 retries at most, and none once a target may have read it",
        "Upstream: u, round-robin",
        "    ENDPOINT     TARGET    WEIGHT     SHARE   IN FLIGHT  STATE           SOURCE   REASON                   SINCE",
        "=>  127.0.0.1:1  b.test:1  100        66.7 %  2 of 9     in",
        "2.  127.0.0.1:2  c.test:2  50 (10 %)  33.3 %  0          in (held_back)  outlier  it answers [2J again     2024-05-29T16:26:40.000Z",
        "    none         d.test:3  1          0 %     0          out             dns      the name has no address",
        "",
        "Sent to 127.0.0.1:1:",
        "  GET /y HTTP/1.1",
        "  Host: b.test:1",
        "  Via: 1.1 31mpenstock",
        "",
        "Note: a note",
        "",
      ].join("\n"),
    );
  });

  it.each([
    {
      name: "an answer of the node's own",
      fields: response({
        outcome: { kind: ExplainOutcome_Kind.ANSWERED, status: 404, error: "no_route", message: "no Route" },
        otherRoutes: [{ id: "1", name: "r", reasons: ["method GET is none of POST"] }],
      }),
      want: [
        "The node answers 404 by itself: no_route: no Route",
        "",
        "No route takes it:",
        "  r  method GET is none of POST",
        "",
      ],
    },
    {
      name: "a redirect",
      fields: response({
        outcome: {
          kind: ExplainOutcome_Kind.ANSWERED,
          status: 301,
          error: "https_required",
          message: "m",
          location: "https://a/",
        },
      }),
      want: ["The node answers 301 by itself: https_required, to https://a/: m", ""],
    },
    {
      name: "a turn to wait for",
      fields: response({
        outcome: { kind: ExplainOutcome_Kind.QUEUED },
        pool: {
          name: "u",
          isUpstream: true,
          algorithm: "latency",
          inFlight: 4,
          inFlightMax: 4,
          queued: 1,
          queueSize: 9,
        },
        endpoints: [
          { address: "127.0.0.1:1", weight: 1, share: 1, isIn: true, isLocal: true, ramp: 1, role: "in_use" },
          { address: "127.0.0.1:2", weight: 0, isIn: true, priority: 1, ramp: 1, role: "draining" },
        ],
      }),
      want: [
        "It waits for its turn: as many requests are under way as may be, or others wait already.",
        "",
        "Upstream: u, latency, 4 of 4 under way, 1 of 9 waiting",
        "  ENDPOINT     TARGET  TIER  ZONE   WEIGHT  SHARE  IN FLIGHT  STATE          SOURCE  REASON  SINCE",
        "  127.0.0.1:1          0     near   1       100 %  0          in",
        "  127.0.0.1:2          1     other  0       0 %    0          in (draining)",
        "",
      ],
    },
  ])("says how a request ends with $name", ({ fields, want }) => {
    expect(isProxied(fields)).toBe(false);
    expect(explainReport(fields).split("\n").slice(1)).toEqual(want);
  });

  it("has an answer where the head was refused", () => {
    const refused = create(ExplainResponseSchema, {
      node: { id: "n1", hostname: "h1" },
      outcome: {
        kind: ExplainOutcome_Kind.ANSWERED,
        status: 501,
        error: "not_implemented",
        detail: "unknown_method",
        message: "m",
      },
    });
    expect(explainReport(refused)).toBe(
      "Asked of node n1 (h1), publication 0\nThe node answers 501 by itself: not_implemented (unknown_method): m\n",
    );
  });
});
