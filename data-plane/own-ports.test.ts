import { describe, expect, it } from "vitest";
import { OwnPorts } from "./own-ports.ts";

describe("OwnPorts", () => {
  const ownAddresses = () => ["127.0.0.1", "::1", "10.1.2.3", "fe80::1%eth0", "2001:db8::5"];

  it.each([
    { listening: "0.0.0.0", host: "127.0.0.1", has: true },
    { listening: "0.0.0.0", host: "localhost", has: true },
    { listening: "0.0.0.0", host: "LOCALHOST", has: true },
    { listening: "0.0.0.0", host: "127.9.9.9", has: true },
    { listening: "0.0.0.0", host: "10.1.2.3", has: true },
    { listening: "0.0.0.0", host: "0.0.0.0", has: true },
    { listening: "0.0.0.0", host: "10.1.2.4", has: false },
    { listening: "0.0.0.0", host: "host.test", has: false },
    { listening: "::", host: "2001:0db8:0:0:0:0:0:5", has: true },
    { listening: "::", host: "127.0.0.1", has: true },
    { listening: "127.0.0.1", host: "127.0.0.1", has: true },
    { listening: "127.0.0.1", host: "localhost", has: true },
    { listening: "127.0.0.1", host: "127.0.0.2", has: false },
    { listening: "127.0.0.1", host: "10.1.2.3", has: false },
    { listening: "::1", host: "0000:0000:0000:0000:0000:0000:0000:0001", has: true },
    { listening: "localhost", host: "127.0.0.1", has: true },
    { listening: "10.1.2.3", host: "10.1.2.3", has: true },
    { listening: "10.1.2.3", host: "127.0.0.1", has: false },
    { listening: "10.1.2.3", host: "localhost", has: false },
  ])("says of $host, listening on $listening: $has", ({ listening, host, has }) => {
    const ports = new OwnPorts([{ host: listening, port: 8000 }, null], ownAddresses);
    expect(ports.has(host, 8000)).toBe(has);
    expect(ports.has(host, 8001)).toBe(false);
  });

  it("takes in a port that becomes known later, and none that is not known", () => {
    const ports = new OwnPorts([{ host: "127.0.0.1", port: 0 }], ownAddresses);
    expect(ports.has("127.0.0.1", 0)).toBe(false);
    ports.add({ host: "127.0.0.1", port: 9 });
    expect(ports.has("127.0.0.1", 9)).toBe(true);
  });
});
