import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AccessFacts, accessLine } from "./access-line.ts";
import { AccessLog } from "./access-log.ts";

const facts: AccessFacts = {
  requestId: "0123456789abcdef0123456789abcdef",
  client: "192.0.2.1",
  method: "GET",
  target: "/a?b=c",
  host: "a.test",
  status: 200,
  bytesIn: 70,
  bytesOut: 180,
  durationMs: 1.26,
  route: "r",
  service: "s",
  upstream: "u",
  attempts: [
    { address: "127.0.0.1", port: 80, startedAtMs: 0, durationMs: 0.31, outcome: "connection_refused" },
    { address: "::1", port: 81, startedAtMs: 0, durationMs: 0.9, outcome: "ok" },
  ],
  failure: "",
  userAgent: "curl/8",
  traceId: "",
};

describe("accessLine", () => {
  it("is one JSON object", () => {
    expect(JSON.parse(accessLine("2026-01-02T03:04:05.006Z", facts))).toEqual({
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
        { address: "[::1]:81", outcome: "ok", ms: 0.9 },
      ],
      failure: "",
      user_agent: "curl/8",
    });
  });

  it("tells the trace where there is one", () => {
    expect(JSON.parse(accessLine("", { ...facts, traceId: "0af7" }))).toMatchObject({ trace_id: "0af7" });
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
      fc.property(hostile, hostile, hostile, (target, userAgent, route) => {
        const line = accessLine("", { ...facts, target, userAgent, route });
        expect(line).toMatch(/^[ -~]+\n$/);
        expect(JSON.parse(line)).toMatchObject({ path: target, user_agent: userAgent, route, status: 200 });
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
    onDropped: () => void told.dropped++,
    nowUnixMs: () => told.nowUnixMs,
  });
  return { log, sent, told };
}

describe("AccessLog", () => {
  it("gathers lines until they are fetched", () => {
    const { log, sent, told } = open();
    log.add(facts);
    told.nowUnixMs += 999;
    log.add(facts);
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

  it("sends a full batch at once", () => {
    const { log, sent } = open();
    while (sent.length === 0) log.add(facts);
    expect(sent[0]!.text.length).toBeGreaterThanOrEqual(32_768);
    expect(sent[0]!.text.split("\n")).toHaveLength(sent[0]!.count + 1);
  });

  it("drops lines, and counts them, while too much waits to be written", () => {
    const { log, sent, told } = open();
    while (told.dropped === 0) log.add(facts);
    const bytes = sent.reduce((sum, { text }) => sum + text.length, 0);
    expect(bytes).toBeLessThan(1_200_000);
    log.taken(bytes);
    log.add(facts);
    log.flush();
    expect(told.dropped).toBe(1);
    const lines = sent.reduce((sum, { text }) => sum + text.split("\n").length - 1, 0);
    expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(lines);
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
