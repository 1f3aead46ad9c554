import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { systemClock } from "./clock.ts";
import { reachByTcp } from "./reach-address.ts";

const problemOf = (address: string) =>
  new Promise<string | null>((resolve) => reachByTcp(systemClock, 20_000)(address, resolve));

describe("reachByTcp", () => {
  it.each(["127.0.0.1", "[::1]"])("finds who listens at %s, sends nothing and goes", async (host) => {
    const server = createServer().listen(0, host.replace(/[[\]]/g, ""));
    await once(server, "listening");
    const connection = once(server, "connection");
    expect(await problemOf(`${host}:${(server.address() as AddressInfo).port}`)).toBeNull();
    const [socket] = await connection;
    const ended = once(socket, "close");
    socket.resume();
    await ended;
    expect(socket.bytesRead).toBe(0);
    server.close();
    await once(server, "close");
  });

  it("says why nobody is there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    expect(await problemOf(`127.0.0.1:${port}`)).toContain("ECONNREFUSED");
    expect(await problemOf(`no-such-name.invalid:${port}`)).toContain("no-such-name.invalid");
  });

  it("gives up in time, and never says anything after that", async () => {
    const clock = new ManualClock();
    const problems: (string | null)[] = [];
    // An address of documentation (RFC 5737): nobody answers there, or it cannot be reached at all.
    reachByTcp(clock, 2_000)("192.0.2.1:8005", (problem) => problems.push(problem));
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(problems).toEqual(["no connection to 192.0.2.1:8005 within 2000 ms"]);
    reachByTcp(clock, 2_000)("192.0.2.1:8005", (problem) => problems.push(problem))();
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(problems).toHaveLength(1);
  });

  it.each(["[", "a", "a:", ":1", "a:0", "a:65536"])(
    "leaves %s, which is no host:port, to whoever opens streams",
    async (address) => {
      expect(await problemOf(address)).toBeNull();
    },
  );
});
