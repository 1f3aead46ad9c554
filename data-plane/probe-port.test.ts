import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { canSharePort, probePort } from "./probe-port.ts";

describe("probePort", () => {
  it("finds a port in use, also by one that shares it, and free when that one is gone", async () => {
    const server = createServer().listen({ port: 0, host: "127.0.0.1", reusePort: true });
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const message = `cannot listen on 127.0.0.1:${port}: the port is in use`;
    expect(await probePort("127.0.0.1", port)).toEqual({ type: "in_use", message });
    expect(await probePort("0.0.0.0", port)).toMatchObject({ type: "in_use" });
    server.close();
    await once(server, "close");
    expect(await probePort("127.0.0.1", port)).toEqual({ type: "free" });
  });

  it("finds an address that this machine does not have", async () => {
    expect(await probePort("203.0.113.1", 0)).toMatchObject({ type: "no_address" });
  });

  it("refuses a name that does not resolve", async () => {
    expect(await probePort("no.such.name.invalid", 0)).toMatchObject({ type: "refused" });
  });
});

describe("canSharePort", () => {
  it.runIf(process.platform === "linux")("finds that threads can share a port here", async () => {
    expect(await canSharePort()).toBe(true);
  });

  it("takes any refusal for a no", async () => {
    // A documentation address, which no machine has: refused as reusePort is where there is no such thing.
    expect(await canSharePort({ host: "192.0.2.1" })).toBe(false);
  });
});
