import { describe, expect, it } from "vitest";
import { askAll, limited, patientTarget, status } from "./in-flight-limits.test-rig.ts";
import { get, rig, until } from "./proxy-server.test-rig.ts";

describe("a limit that is newly set", () => {
  it("counts what is under way in the pool, and has one that waits go on when it ends", async () => {
    const target = await patientTarget();
    const options = { ports: [target.port] };
    const proxy = await rig(options);
    const before = await askAll(proxy, 2);
    await until(() => target.waiting.length === 2);
    proxy.reapply({ ...options, pool: limited({ max: 2, queueSize: 1 }) });
    const waits = proxy.client().send(get("/waits"));
    await until(() => proxy.counter("queued_active") === 1);
    expect(status(await proxy.ask(get("/over")))).toBe(503);
    target.answer();
    expect(status(await before[0]!.answer())).toBe(200);
    await until(() => target.waiting.length === 2);
    expect(target.paths()).toEqual(["/1", "/waits"]);
    while (target.waiting.length > 0) target.answer();
    expect([status(await before[1]!.answer()), status(await waits.answer()), target.most]).toEqual([200, 200, 2]);
  });

  it("counts what is under way at the endpoint, tunnels too, and no more than once when it is lifted again", async () => {
    const target = await patientTarget();
    const options = { ports: [target.port] };
    const proxy = await rig(options);
    const upgrade = get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    const tunnel = proxy.client().send(upgrade);
    await until(() => target.waiting.length === 1);
    target.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    expect(status(await tunnel.answer(false))).toBe(101);
    const [plain] = await askAll(proxy, 1);
    await until(() => target.waiting.length === 1);
    proxy.reapply({ ...options, endpoints: [{ maxInFlight: 2 }] });
    expect(status(await proxy.ask(get("/over")))).toBe(503);
    tunnel.close();
    await until(() => proxy.counter("tunnels_active") === 0);
    const limitedOne = proxy.client().send(get("/limited"));
    await until(() => target.waiting.length === 2);
    expect([proxy.table.inFlight(0), proxy.table.poolInFlight(0)]).toEqual([2, 2]);
    proxy.reapply(options);
    const [free] = await askAll(proxy, 1);
    await until(() => target.waiting.length === 3);
    expect([proxy.table.inFlight(0), proxy.table.poolInFlight(0)]).toEqual([3, 3]);
    while (target.waiting.length > 0) target.answer();
    for (const client of [plain!, limitedOne, free!]) expect(status(await client.answer())).toBe(200);
  });
});
