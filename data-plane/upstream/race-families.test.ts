import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, expect, it, onTestFinished } from "vitest";
import { raceFamilies } from "./race-families.ts";
import { FakeTimers } from "./timers.test-fake.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));

/** Listens on one address, at a port that is free. */
async function listen(host: string): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {})).listen(0, host);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function rig() {
  const timers = new FakeTimers();
  return { timers, race: raceFamilies({ timers, timeoutMs: 250, headStartMs: 50 }) };
}
const both = { v4: ["127.0.0.1"], v6: ["::1"] };

describe.skipIf(!hasIpv6)("raceFamilies", () => {
  it.each([
    { listening: "127.0.0.1", winner: 4 },
    { listening: "::1", winner: 6 },
  ])("is won by the family whose address listens, $listening", async ({ listening, winner }) => {
    const { race, timers } = rig();
    expect(await race({ addresses: both, port: await listen(listening), incumbent: null })).toBe(winner);
    expect(timers.waitingCount).toBe(0);
  });

  it.each([
    { incumbent: 4, listening: "::1", winner: 6 },
    { incumbent: 6, listening: "127.0.0.1", winner: 4 },
  ] as const)(
    "starts the other family at once when family $incumbent fails",
    async ({ incumbent, listening, winner }) => {
      const { race, timers } = rig();
      expect(await race({ addresses: both, port: await listen(listening), incumbent })).toBe(winner);
      expect(timers.waitingCount).toBe(0);
    },
  );

  it("gives the family in use a start", async () => {
    const { race } = rig();
    // Both listen; the other one would start 50 ms later, which on this clock never pass.
    const port = await listen("::");
    expect(await race({ addresses: both, port, incumbent: 6 })).toBe(6);
    expect(await race({ addresses: both, port, incumbent: 4 })).toBe(4);
  });

  it("starts the other family when the one in use does not answer", async () => {
    const { race, timers } = rig();
    // An address that nobody has (RFC 5737): it is either silent or refused, depending on the machine.
    const addresses = { v4: ["192.0.2.1"], v6: ["::1"] };
    const won = race({ addresses, port: await listen("::1"), incumbent: 4 });
    await timers.pass(50);
    expect(await won).toBe(6);
  });

  it("takes more than one address of a family along", async () => {
    const { race } = rig();
    const addresses = { v4: ["127.0.0.2", "127.0.0.1"], v6: ["::1"] };
    expect(await race({ addresses, port: await listen("127.0.0.1"), incumbent: null })).toBe(4);
  });

  it.each([null, 4, 6] as const)("is won by nobody where nobody listens, with family %s in use", async (incumbent) => {
    const { race } = rig();
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const { port } = gone.address() as AddressInfo;
    await new Promise((done) => gone.close(done));
    expect(await race({ addresses: both, port, incumbent })).toBeNull();
  });
});
