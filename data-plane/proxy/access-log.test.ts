import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testEndpoint } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { type AccessFacts, accessLine } from "./access-line.ts";
import { AccessLineParts } from "./access-line-parts.ts";
import { AccessLog } from "./access-log.ts";
import { LoggedRequest } from "./logged-request.ts";

function endpoint(address: string, port: number): EndpointConfig {
  return testEndpoint({ address, port });
}

/** A request that went elsewhere once, after one that had more attempts on the same connection. */
function loggedRequest(userAgent = "curl/8", traceId = ""): LoggedRequest {
  const logged = new LoggedRequest();
  for (let i = 0; i < 3; i++) logged.attemptStarted(endpoint("192.0.2.9", 9), 0);
  logged.reset();
  logged.attemptStarted(endpoint("127.0.0.1", 80), 10);
  logged.attemptEnded("connection_refused", 10.31);
  logged.attemptEnded("not told again", 20);
  logged.attemptStarted(endpoint("127.0.0.2", 80), 10.31);
  logged.attemptAnswered(503, 10.35);
  logged.attemptEnded("status_503", 10.4);
  logged.attemptStarted(endpoint("::1", 81), 10.4);
  logged.attemptConnected(10.62);
  logged.attemptAnswered(200, 11.12);
  logged.attemptEnded("ok", 11.3);
  logged.durationMs = 1.26;
  logged.userAgent = userAgent;
  logged.traceId = traceId;
  return logged;
}

const facts: AccessFacts = {
  requestId: "0123456789abcdef0123456789abcdef",
  clientAddress: "192.0.2.1",
  method: { name: "GET" },
  sentTarget: "/a?b=c",
  host: "a.test",
  status: 200,
  bytesIn: 70,
  bytesOut: 180,
  route: { id: "1", name: "r" },
  service: { id: "2", name: "s" },
  pool: { config: { name: "u" } },
  failure: "",
  logged: loggedRequest(),
};

function lineOf(differences: Partial<AccessFacts> = {}, parts = new AccessLineParts()): string {
  return accessLine(Date.UTC(2026, 0, 2, 3, 4, 5, 6), { ...facts, ...differences }, parts);
}

describe("accessLine", () => {
  it("is one JSON object", () => {
    expect(JSON.parse(lineOf())).toEqual({
      time: "2026-01-02T03:04:05.006Z",
      request_id: "0123456789abcdef0123456789abcdef",
      client: "192.0.2.1",
      method: "GET",
      host: "a.test",
      path: "/a?b=c",
      status: 200,
      bytes_in: 70,
      bytes_out: 180,
      duration_ms: 1.3,
      route: "r",
      service: "s",
      upstream: "u",
      attempts: [
        { address: "127.0.0.1:80", outcome: "connection_refused", ms: 0.3 },
        { address: "127.0.0.2:80", outcome: "status_503", ms: 0.1, wait_ms: 0 },
        { address: "[::1]:81", outcome: "ok", ms: 0.9, connect_ms: 0.2, wait_ms: 0.5 },
      ],
      failure: "",
      user_agent: "curl/8",
    });
  });

  it("tells the trace where there is one", () => {
    expect(JSON.parse(lineOf({ logged: loggedRequest("", "0af7") }))).toMatchObject({ trace_id: "0af7" });
  });

  it("calls what has no name by its id, and says nothing of what a request did not come to", () => {
    const unnamed = { route: { id: "1", name: null }, service: null, pool: null };
    expect(JSON.parse(lineOf(unnamed))).toMatchObject({ route: "1", service: "", upstream: "" });
  });

  it("says the same with what it has kept from other lines", () => {
    const parts = new AccessLineParts();
    const route = { id: "1", name: "r" };
    const others: Partial<AccessFacts>[] = [
      { route },
      { route, service: null, pool: null },
      { route: { id: "3", name: "other" }, pool: { config: { name: "another" } } },
      { route: null, service: null, pool: null },
    ];
    for (const other of [...others, ...others]) expect(lineOf(other, parts)).toBe(lineOf(other));
  });

  it("stays one line of printable ASCII and keeps every text, whatever it contains", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        '"',
        "\\",
        "\r\n",
        "\n{",
        "\u001b[2J",
        "\u0000",
        "\u2028",
        "\u009b31m",
        '","status":200,"x":"',
        "\ud800",
      ),
    );
    fc.assert(
      fc.property(hostile, hostile, hostile, (sentTarget, userAgent, name) => {
        const line = lineOf({ sentTarget, route: { id: "1", name }, logged: loggedRequest(userAgent) });
        expect(line).toMatch(/^[ -~]+\n$/);
        expect(JSON.parse(line)).toMatchObject({ path: sentTarget, user_agent: userAgent, route: name, status: 200 });
      }),
    );
  });
});

/** A log, what it sent, and how many lines it dropped. */
function open(sampleRatio = 1) {
  const sent: { text: string; count: number }[] = [];
  const told = { dropped: 0, nowUnixMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
  const log = new AccessLog({
    sampleRatio,
    send: (lines, count) => void sent.push({ text: Buffer.from(lines).toString("latin1"), count }),
    onDropped: (lineCount) => {
      told.dropped += lineCount;
    },
    nowUnixMs: () => told.nowUnixMs,
  });
  return { log, sent, told };
}

describe("AccessLog", () => {
  it("gathers lines until they are fetched", () => {
    const { log, sent } = open();
    log.add(facts, null, 50);
    log.add(facts, null, 1_049);
    expect(sent).toEqual([]);
    log.flush();
    log.flush();
    expect(sent).toHaveLength(1);
    const times = sent[0]!.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).time);
    expect(times).toEqual(["2026-01-02T03:04:05.006Z", "2026-01-02T03:04:06.005Z"]);
    expect(sent[0]!.count).toBe(2);
  });

  it("asks for the time of day once a second, which may have been set meanwhile", () => {
    const { log, sent, told } = open();
    log.add(facts, null, 50);
    told.nowUnixMs = Date.UTC(2026, 5, 1);
    log.add(facts, null, 1_049);
    log.add(facts, null, 1_050);
    log.flush();
    const lines = sent[0]!.text.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).time)).toEqual([
      "2026-01-02T03:04:05.006Z",
      "2026-01-02T03:04:06.005Z",
      "2026-06-01T00:00:00.000Z",
    ]);
  });

  it("sends a full batch at once, in whole lines", () => {
    const { log, sent } = open();
    while (sent.length === 0) log.add(facts, null, 0);
    expect(sent[0]!.text.length).toBeGreaterThanOrEqual(524_288);
    expect(sent[0]!.text.length).toBeLessThan(524_288 + 5_000);
    const lines = sent[0]!.text.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).request_id)).toEqual(lines.map(() => facts.requestId));
    expect(sent[0]!.count).toBe(lines.length);
  });

  it("drops lines, and counts them, while too much waits to be written", () => {
    const { log, sent, told } = open();
    let added = 0;
    for (; told.dropped === 0; added++) log.add(facts, null, 0);
    const { dropped } = told;
    const bytes = sent.reduce((sum, { text }) => sum + text.length, 0);
    expect(bytes).toBeLessThanOrEqual(2_097_152);
    expect(bytes).toBeGreaterThan(2_097_152 - 5_000);
    log.taken(bytes);
    log.add(facts, null, 0);
    log.flush();
    expect(told.dropped).toBe(dropped);
    const lines = sent.reduce((sum, { text }) => sum + text.split("\n").length - 1, 0);
    expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(lines);
    expect(lines + dropped).toBe(added + 1);
  });

  it("goes on with lines of any length when a reader takes a batch now and then", () => {
    const { log, sent, told } = open();
    let added = 0;
    for (let takenCount = 0; takenCount < 100; ) {
      log.add({ ...facts, sentTarget: "/".padEnd((added++ * 7_919) % 60_000, "x") }, null, 0);
      if (sent.length <= takenCount + 1) continue;
      const { text, count } = sent[takenCount++]!;
      expect(text.split("\n")).toHaveLength(count + 1);
      log.taken(text.length);
    }
    log.flush();
    expect(told.dropped).toBe(0);
    expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(added);
  });

  it.each([
    { ratio: 1, want: 100 },
    { ratio: 0.25, want: 25 },
    { ratio: 0, want: 0 },
  ])("wants $want of 100 requests that went well at a share of $ratio, and all others", ({ ratio, want }) => {
    const { log } = open(ratio);
    let wanted = 0;
    for (let i = 0; i < 100; i++) {
      if (log.wants("")) wanted++;
      expect(log.wants("dns_error")).toBe(true);
    }
    expect(wanted).toBe(want);
  });
});
