import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { FakeTimers } from "../timers.test-fake.ts";
import { namesToTry, openResolverSettings, parseDnsServer, parseResolvConf } from "./resolver-settings.ts";

const local = [{ host: "127.0.0.1", port: 53 }];

describe("parseResolvConf", () => {
  it.each([
    { name: "nothing", text: "", want: { servers: local, search: [], ndots: 1 } },
    {
      name: "servers, of both families",
      text: "nameserver 10.0.0.1\nnameserver\tfd00::1 # x\n",
      want: {
        servers: [
          { host: "10.0.0.1", port: 53 },
          { host: "fd00::1", port: 53 },
        ],
      },
    },
    {
      name: "what Kubernetes writes",
      text: "search ns.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5 edns0\n",
      want: { search: ["ns.svc.cluster.local", "svc.cluster.local"], ndots: 5 },
    },
    { name: "a domain", text: "domain Example.COM.", want: { search: ["example.com"] } },
    {
      name: "the last of search and domain",
      text: "domain a.test\nsearch b.test c.test",
      want: { search: ["b.test", "c.test"] },
    },
    { name: "an end of search", text: "search a.test\nsearch .", want: { search: [] } },
    { name: "too many dots", text: "options ndots:99", want: { ndots: 15 } },
    { name: "no dots", text: "options timeout:1 ndots:0", want: { ndots: 0 } },
    {
      name: "lines that make no sense",
      text: "nameserver x\nnameserver\noptions ndots:x\nnonsense 1\n; nameserver 10.0.0.9\n",
      want: { servers: local, ndots: 1 },
    },
  ])("reads $name", ({ text, want }) => {
    expect(parseResolvConf(text)).toMatchObject(want);
  });
});

describe("parseDnsServer", () => {
  it.each([
    { text: "10.0.0.1", want: { host: "10.0.0.1", port: 53 } },
    { text: "10.0.0.1:5353", want: { host: "10.0.0.1", port: 5_353 } },
    { text: "fd00::1", want: { host: "fd00::1", port: 53 } },
    { text: "[fd00::1]:54", want: { host: "fd00::1", port: 54 } },
    { text: "[fd00::1]", want: null },
    { text: "ns.example.com", want: null },
    { text: "10.0.0.1:0", want: null },
    { text: "10.0.0.1:65536", want: null },
    { text: "", want: null },
  ])("reads $text", ({ text, want }) => {
    expect(parseDnsServer(text)).toEqual(want);
  });
});

describe("namesToTry", () => {
  const search = ["x.test", "y.test"];
  it.each([
    { name: "web", ndots: 1, want: ["web.x.test", "web.y.test", "web"] },
    { name: "web.example", ndots: 1, want: ["web.example", "web.example.x.test", "web.example.y.test"] },
    { name: "web.example", ndots: 5, want: ["web.example.x.test", "web.example.y.test", "web.example"] },
    { name: "Web.Example.", ndots: 5, want: ["web.example"] },
  ])("tries $name with ndots $ndots as $want", ({ name, ndots, want }) => {
    expect(namesToTry(name, { search, ndots })).toEqual(want);
    expect(namesToTry(name, { search: [], ndots })).toEqual([name.toLowerCase().replace(/\.$/, "")]);
  });
});

describe("openResolverSettings", () => {
  async function open(text: string | null, given: Partial<Parameters<typeof openResolverSettings>[0]> = {}) {
    const folder = mkdtempSync(join(tmpdir(), "penstock-resolv-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "resolv.conf");
    if (text !== null) writeFileSync(path, text);
    const timers = new FakeTimers();
    let tell = (_: string) => {};
    const nextEvent = () => new Promise<string>((resolve) => (tell = resolve));
    const settings = await openResolverSettings({
      ...{ path, timers, checkIntervalMs: 1_000, servers: null, search: null, ndots: null },
      onChange: () => tell("change"),
      onUnreadable: () => tell("unreadable"),
      ...given,
    });
    onTestFinished(() => settings.close());
    return { settings, path, timers, nextEvent };
  }

  it("reads the file again when it has changed, and keeps what it said when it goes", async () => {
    const { settings, path, timers, nextEvent } = await open("nameserver 10.0.0.1\n");
    expect(settings.current.servers[0]!.host).toBe("10.0.0.1");
    writeFileSync(path, "nameserver 10.0.0.2\n");
    utimesSync(path, 1, 1);
    let event = nextEvent();
    await timers.pass(1_000);
    expect(await event).toBe("change");
    expect(settings.current.servers[0]!.host).toBe("10.0.0.2");
    rmSync(path);
    event = nextEvent();
    await timers.pass(1_000);
    expect(await event).toBe("unreadable");
    expect(settings.current.servers[0]!.host).toBe("10.0.0.2");
  });

  it("lets the operator's word go before the file's", async () => {
    const { settings } = await open("nameserver 10.0.0.1\nsearch a.test\noptions ndots:5\n", {
      ...{ servers: [{ host: "10.0.0.7", port: 5_353 }], search: [], ndots: 2 },
    });
    expect(settings.current).toEqual({ servers: [{ host: "10.0.0.7", port: 5_353 }], search: [], ndots: 2 });
  });

  it("asks the system in another way where there is no such file", async () => {
    const { settings } = await open(null);
    expect(settings.startProblem).toContain("ENOENT");
    expect(settings.current).toMatchObject({ search: [], ndots: 1 });
  });
});
