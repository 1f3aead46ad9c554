import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
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
  const readmission = new EndpointReadmission({
    table,
    rows,
    timers,
    random: () => 0.5,
    check: (address) => new Promise((answer) => probes.push({ address, answer })),
    probeTimeoutMs: 1_000,
    probesMax,
    onEjected: ({ address }, cause) => events.push(`out ${address}: ${cause}`),
    onProbeFailed: ({ address }, problem) => events.push(`still out ${address}: ${problem}`),
    onReadmitted: ({ address }) => events.push(`in ${address}`),
  });
  const eject = (row: number) => {
    table.eject(poolRow, row);
    readmission.ejected(row, "ECONNREFUSED");
  };
  return { timers, table, rows, poolRow, a: a!, b: b!, probes, events, readmission, eject };
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
    expect(events).toEqual(["out 10.0.0.1: ECONNREFUSED", "still out 10.0.0.1: ECONNREFUSED", "in 10.0.0.1"]);
    expect(readmission.ejectedCount).toBe(0);
  });

  it("begins anew when the endpoint is ejected again right after", async () => {
    const { timers, a, probes, events, eject } = rig();
    eject(a);
    await timers.pass(500);
    probes[0]!.answer(null);
    await timers.pass(0);
    eject(a);
    await timers.pass(500);
    expect(probes).toHaveLength(2);
    expect(events.filter((event) => event.startsWith("out"))).toHaveLength(2);
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

  it("does nothing more once closed", async () => {
    const { timers, a, probes, readmission, eject, events } = rig();
    eject(a);
    await timers.pass(500);
    readmission.close();
    probes[0]!.answer(null);
    await timers.pass(60_000);
    expect(events).toEqual(["out 10.0.0.1: ECONNREFUSED"]);
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
