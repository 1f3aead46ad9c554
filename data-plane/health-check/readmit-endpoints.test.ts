import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeCertificate } from "../../test/support/certificates.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { httpPing } from "../upstream/http-ping.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import { EndpointReadmission } from "./readmit-endpoints.ts";
import { tcpCheck } from "./tcp-check.ts";

/** Two endpoints of one pool, and probes whose answers the test gives. */
function rig(probesMax = 10) {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: 10, poolRowsMax: 1 });
  const rows = new EndpointRows(table, 1_000);
  const poolRow = rows.poolRow("p")!;
  const [a, b] = ["10.0.0.1", "10.0.0.2"].map(
    (address) => rows.endpointRow({ targetId: "t", poolKey: "p", host: "x", address, port: 80 })!,
  );
  const probes: { address: string; answer: (problem: string | null) => void }[] = [];
  const events: string[] = [];
  const pings: string[] = [];
  /** Of each ping in turn; none when there is no more. */
  const pingProblem: string[] = [];
  const readmission = new EndpointReadmission({
    table,
    rows,
    timers,
    random: () => 0.5,
    timesOf: () => null,
    check: (address) => new Promise((answer) => probes.push({ address, answer })),
    ping: (address) => {
      pings.push(address);
      return Promise.resolve(pingProblem.shift() ?? null);
    },
    probeTimeoutMs: 1_000,
    probesMax,
    onEjected: ({ address }, cause) => events.push(`out ${address}: ${cause}`),
    onProbeFailed: ({ address }, problem) => events.push(`still out ${address}: ${problem}`),
    onReadmitted: ({ address }) => events.push(`in ${address}`),
  });
  const eject = (row: number, cause = "refused") => {
    table.eject(poolRow, row);
    readmission.ejected(row, cause);
  };
  return { timers, table, rows, poolRow, a: a!, b: b!, probes, pings, pingProblem, events, readmission, eject };
}

describe("EndpointReadmission", () => {
  it("probes an ejected endpoint until it answers, then puts it back", async () => {
    const { timers, table, poolRow, a, probes, events, readmission, eject } = rig();
    eject(a);
    expect(readmission.ejectedCount).toBe(1);
    await timers.pass(499);
    expect(probes).toHaveLength(0);
    await timers.pass(1);
    probes[0]!.answer("ECONNREFUSED");
    await timers.pass(999);
    expect(probes).toHaveLength(1);
    expect(table.isOut(a)).toBe(true);
    await timers.pass(1);
    const generation = table.generation(poolRow);
    probes[1]!.answer(null);
    await timers.pass(0);
    expect(table.isOut(a)).toBe(false);
    expect(table.generation(poolRow)).not.toBe(generation);
    expect(events).toEqual(["out 10.0.0.1: refused", "still out 10.0.0.1: ECONNREFUSED", "in 10.0.0.1"]);
    expect(readmission.ejectedCount).toBe(0);
  });

  it("waits longer when the endpoint is ejected again right after", async () => {
    const { timers, a, probes, events, eject } = rig();
    eject(a);
    await timers.pass(500);
    probes[0]!.answer(null);
    await timers.pass(0);
    eject(a);
    await timers.pass(4_999);
    expect(probes).toHaveLength(1);
    await timers.pass(1);
    expect(probes).toHaveLength(2);
    expect(events.filter((event) => event.startsWith("out"))).toHaveLength(2);
  });

  it("row 35: changes at most once in 5 s where the endpoint comes and goes with every second", async () => {
    const { timers, table, poolRow, a, probes, eject } = rig();
    const isUp = () => Math.floor(timers.nowMs() / 1_000) % 2 === 1;
    let changes = 0;
    let answered = 0;
    // From the first failure on, for ten minutes; traffic notices within 100 ms.
    for (let wasOut = table.isOut(a); timers.nowMs() < 600_000; await timers.pass(100)) {
      while (answered < probes.length) probes[answered++]!.answer(isUp() ? null : "ECONNREFUSED");
      await timers.pass(0);
      if (!isUp() && !table.isOut(a)) eject(a);
      if (table.isOut(a) !== wasOut) changes++;
      wasOut = table.isOut(a);
    }
    expect(changes).toBeGreaterThan(1);
    expect(changes).toBeLessThanOrEqual(600 / 5);
    expect(table.generation(poolRow)).toBeGreaterThanOrEqual(changes);
  });

  it("has no more probes under way than it may", async () => {
    const { timers, a, b, probes, eject } = rig(1);
    eject(a);
    eject(b);
    await timers.pass(10_000);
    expect(probes.map(({ address }) => address)).toEqual(["10.0.0.1"]);
    probes[0]!.answer(null);
    await timers.pass(0);
    expect(probes.map(({ address }) => address)).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("drops an endpoint that is configured no more, and leaves its row alone", async () => {
    const { timers, rows, table, a, b, probes, readmission, eject } = rig();
    eject(a);
    await timers.pass(500);
    rows.sent(1, new Set(["p"]), new Set([b]), timers.nowMs());
    probes[0]!.answer(null);
    await timers.pass(0);
    expect(table.isOut(a)).toBe(true);
    expect(readmission.ejectedCount).toBe(0);
    readmission.ejected(a, "late");
    expect(readmission.ejectedCount).toBe(0);
  });

  it("finds an endpoint that a worker took out without living to say so", async () => {
    const { timers, table, poolRow, a, probes, events } = rig();
    table.eject(poolRow, a);
    await timers.pass(5_500);
    expect(probes).toHaveLength(1);
    expect(events).toEqual(["out 10.0.0.1: found ejected"]);
  });

  it("puts an endpoint that took connections and did badly on trial: one request, for which it waits", async () => {
    const { timers, table, poolRow, a, probes, readmission, eject, events } = rig();
    eject(a, "resets");
    await timers.pass(500);
    expect(table.hasTrial(poolRow)).toBe(false);
    probes[0]!.answer(null);
    await timers.pass(0);
    expect([table.isOut(a), table.takeTrial(poolRow), table.takeTrial(poolRow)]).toEqual([true, a, -1]);
    readmission.trialEnded(a, "failed", "timeout");
    await timers.pass(1_000);
    probes[1]!.answer(null);
    await timers.pass(0);
    expect(table.takeTrial(poolRow)).toBe(a);
    readmission.trialEnded(a, "unclear", "");
    expect(table.takeTrial(poolRow)).toBe(a);
    readmission.trialEnded(a, "passed", "");
    expect(table.isOut(a)).toBe(false);
    expect(events).toEqual(["out 10.0.0.1: resets", "still out 10.0.0.1: timeout", "in 10.0.0.1"]);
    await timers.pass(200_000);
    expect(probes).toHaveLength(2);
  });

  it("asks itself where no request will do, and tries one endpoint of a pool after the other", async () => {
    const { timers, table, poolRow, a, b, probes, pings, pingProblem, eject } = rig();
    eject(a, "resets");
    eject(b, "resets");
    await timers.pass(500);
    for (const probe of probes) probe.answer(null);
    pingProblem.push("timeout");
    await timers.pass(1_999);
    expect(pings).toEqual([]);
    await timers.pass(1);
    expect([table.isOut(a), table.isOut(b)]).toEqual([true, true]);
    expect(table.takeTrial(poolRow)).toBe(b);
    await timers.pass(1_000);
    probes[2]!.answer(null);
    // Its worker is gone: in the end it is put back, and the other has its turn.
    await timers.pass(120_999);
    expect([table.isOut(a), table.isOut(b)]).toEqual([true, true]);
    await timers.pass(1);
    expect([table.isOut(a), table.isOut(b)]).toEqual([true, false]);
    await timers.pass(2_000);
    expect(table.isOut(a)).toBe(false);
    expect(pings).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
  });

  it("risks any request for one that gave bad answers, after it has answered at all", async () => {
    const { timers, table, poolRow, a, probes, pings, eject } = rig();
    eject(a, "bad_answers");
    await timers.pass(500);
    probes[0]!.answer(null);
    await timers.pass(2_000);
    expect([pings, table.isTrialByAny(poolRow), table.isOut(a)]).toEqual([["10.0.0.1"], true, true]);
    await timers.pass(2_000);
    expect(table.isOut(a)).toBe(false);
  });

  it("asks what hung before it risks a request there, which might hang as well", async () => {
    const { timers, table, poolRow, a, probes, pings, pingProblem, eject, events } = rig();
    eject(a, "stalled");
    pingProblem.push("timeout");
    await timers.pass(500);
    probes[0]?.answer(null);
    await timers.pass(0);
    expect([pings, table.hasTrial(poolRow)]).toEqual([["10.0.0.1"], false]);
    await timers.pass(1_000);
    probes[1]?.answer(null);
    await timers.pass(0);
    expect([pings.length, table.takeTrial(poolRow)]).toEqual([2, a]);
    expect(events).toEqual(["out 10.0.0.1: stalled", "still out 10.0.0.1: timeout"]);
  });

  it("lets no trial of an endpoint that is gone keep the others of its pool waiting", async () => {
    const { timers, rows, table, poolRow, a, b, probes, readmission, eject } = rig();
    eject(a, "resets");
    eject(b, "resets");
    await timers.pass(500);
    for (const probe of probes) probe.answer(null);
    await timers.pass(0);
    expect(table.takeTrial(poolRow)).toBe(a);
    rows.sent(1, new Set(["p"]), new Set([b]), timers.nowMs());
    readmission.trialEnded(a, "unclear", "");
    expect(table.takeTrial(poolRow)).toBe(b);
  });

  it("neither, when nobody says that it is gone", async () => {
    const { timers, rows, table, poolRow, a, b, probes, eject } = rig();
    eject(a, "resets");
    eject(b, "resets");
    await timers.pass(500);
    for (const probe of probes) probe.answer(null);
    await timers.pass(0);
    expect(table.takeTrial(poolRow)).toBe(a);
    rows.sent(1, new Set(["p"]), new Set([b]), timers.nowMs());
    await timers.pass(5_000);
    expect(table.takeTrial(poolRow)).toBe(b);
  });

  it("risks nothing for an endpoint that a person took out, until it is let in again", async () => {
    const { timers, table, poolRow, a, probes, eject } = rig();
    eject(a, "resets");
    table.setFlag(poolRow, a, "forced_out", true);
    await timers.pass(500);
    probes[0]!.answer(null);
    await timers.pass(0);
    expect(table.hasTrial(poolRow)).toBe(false);
    table.setFlag(poolRow, a, "forced_out", false);
    await timers.pass(1_000);
    probes[1]!.answer(null);
    await timers.pass(0);
    expect(table.takeTrial(poolRow)).toBe(a);
  });

  it("offers no trial of one that is back before its probe has ended", async () => {
    const { timers, table, poolRow, a, probes, readmission, eject } = rig();
    eject(a, "resets");
    await timers.pass(500);
    readmission.trialEnded(a, "passed", "");
    probes[0]!.answer(null);
    await timers.pass(0);
    expect([table.isOut(a), table.hasTrial(poolRow)]).toEqual([false, false]);
  });

  it("forgets what a person forgave, and what is taken out anew is told anew", async () => {
    const { timers, table, poolRow, a, probes, readmission, eject, events } = rig();
    eject(a, "resets");
    await timers.pass(500);
    probes[0]!.answer(null);
    await timers.pass(0);
    table.readmit(poolRow, a);
    readmission.forgiven(a);
    expect([readmission.ejectedCount, table.hasTrial(poolRow)]).toEqual([0, false]);
    eject(a, "resets");
    expect(events).toEqual(["out 10.0.0.1: resets", "out 10.0.0.1: resets"]);
  });

  it("puts back at once what answers a request that came although all are out", async () => {
    const { table, a, readmission, eject } = rig();
    eject(a);
    readmission.trialEnded(a, "failed", "refused");
    expect(table.isOut(a)).toBe(true);
    readmission.trialEnded(a, "passed", "");
    expect(table.isOut(a)).toBe(false);
    readmission.trialEnded(a, "passed", "");
    expect(readmission.ejectedCount).toBe(0);
  });

  it("does nothing more once closed", async () => {
    const { timers, a, probes, readmission, eject, events } = rig();
    eject(a);
    await timers.pass(500);
    readmission.close();
    probes[0]!.answer(null);
    await timers.pass(60_000);
    expect(events).toEqual(["out 10.0.0.1: refused"]);
    expect(timers.waitingCount).toBe(0);
  });
});

describe("tcpCheck", () => {
  it("succeeds where something listens, and says why not elsewhere", async () => {
    const server = createServer((socket) => socket.on("error", () => {}));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await tcpCheck("127.0.0.1", port, 2_000)).toBeNull();
    server.close();
    await once(server, "close");
    expect(await tcpCheck("127.0.0.1", port, 2_000)).toBe("ECONNREFUSED");
  });
});

describe("httpPing", () => {
  it.each([
    ["any answer will do", (socket: Socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), null],
    ["also one that is no HTTP", (socket: Socket) => void socket.write("\x15\x03"), null],
    ["but not a close", (socket: Socket) => void socket.end(), "closed"],
    ["nor a reset", (socket: Socket) => void socket.resetAndDestroy(), "ECONNRESET"],
    ["nor silence", () => {}, "timeout"],
  ])("%s", async (_, answer, problem) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("data", () => answer(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    expect(await httpPing("127.0.0.1", port, problem === "timeout" ? 50 : 5_000)).toBe(problem);
  });

  it("is answered by one that speaks TLS and nothing else, which ends a plain request without a word", async () => {
    const { certPem, keyPem } = await makeCertificate();
    const server = createTlsServer({ cert: certPem, key: keyPem }, (socket) => socket.on("error", () => {}));
    const refusals: Error[] = [];
    server.on("tlsClientError", (error) => refusals.push(error));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    expect(await httpPing("127.0.0.1", (server.address() as AddressInfo).port, 5_000)).toBeNull();
    expect(refusals).toHaveLength(1);
  });
});
