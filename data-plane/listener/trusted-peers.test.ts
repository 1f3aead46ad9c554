import { afterEach, describe, expect, it } from "vitest";
import { answerText, type Backend, openBackend, Rig, type RigOptions } from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const claims =
  "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test:8443\r\n" +
  "X-Forwarded-Port: 8443\r\nX-Forwarded-Path: /before\r\nX-Forwarded-Prefix: /pre\r\nX-Real-IP: 198.51.100.7\r\n" +
  "Forwarded: for=192.0.2.1\r\nX-Kong-Request-Id: mine\r\nx_forwarded_proto: https\r\nX-Forwarded_For: 192.0.2.9\r\n";

async function open(
  trustedProxies: readonly string[],
  routes: RigOptions["routes"] = [{ paths: ["/mock"] }],
  server: RigOptions["server"] = {},
) {
  const target: Backend = await openBackend((_, socket) => void socket.write(answerText("ok")));
  const proxy = await Rig.open({ ports: [target.port], routes, server: { ...server, trustedProxies } });
  opened.push(target, proxy);
  return { target, proxy };
}

/** What the target was told of the origin of a request with all claims. */
async function forwarded(trustedProxies: readonly string[]): Promise<Record<string, string>> {
  const { target, proxy } = await open(trustedProxies);
  await proxy.ask(`GET /mock/a HTTP/1.1\r\nHost: a.test\r\n${claims}\r\n`);
  const lines = target.requests[0]!.head.split("\r\n").filter((line) =>
    /^(x[-_](forwarded|real|kong)|forwarded)/i.test(line),
  );
  const pairs = lines.map((line) => line.split(": ") as [string, string]);
  expect(new Set(pairs.map(([name]) => name.toLowerCase().replaceAll("_", "-"))).size).toBe(pairs.length);
  expect(pairs.find(([name]) => name === "X-Kong-Request-Id")![1]).toMatch(/^[0-9a-f]{32}$/);
  const said = Object.fromEntries(pairs.filter(([name]) => name !== "X-Kong-Request-Id"));
  if (said["X-Forwarded-Port"] === String(proxy.server.port)) said["X-Forwarded-Port"] = "ours";
  return said;
}

/** Every spelling of a name with at least one underscore for a hyphen. */
function aliases(name: string): string[] {
  const words = name.split("-");
  const spellings = words
    .slice(1)
    .reduce((all, word) => all.flatMap((start) => [`${start}-${word}`, `${start}_${word}`]), [words[0]!]);
  return spellings.filter((spelling) => spelling.includes("_"));
}

describe("S9: a peer's word on the origin of its requests", () => {
  it("is kept when the peer is trusted", async () => {
    expect(await forwarded(["127.0.0.0/8"])).toEqual({
      "X-Forwarded-For": "203.0.113.9, 192.0.2.1, 127.0.0.1",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "shop.test:8443",
      "X-Forwarded-Port": "8443",
      "X-Forwarded-Path": "/before",
      "X-Forwarded-Prefix": "/pre",
      "X-Real-IP": "192.0.2.1",
      Forwarded: "for=192.0.2.1, for=127.0.0.1",
    });
  });

  it.each([{ trusted: [] }, { trusted: ["10.0.0.0/8"] }])(
    "is replaced when $trusted are trusted",
    async ({ trusted }) => {
      expect(await forwarded(trusted)).toEqual({
        "X-Forwarded-For": "203.0.113.9, 192.0.2.1, 127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "a.test",
        "X-Forwarded-Port": "ours",
        "X-Forwarded-Path": "/mock/a",
        "X-Forwarded-Prefix": "/mock",
        "X-Real-IP": "127.0.0.1",
      });
    },
  );

  it.each([{ trusted: [] }, { trusted: ["127.0.0.1"] }])(
    "is never taken under an underscore alias, when $trusted are trusted",
    async ({ trusted }) => {
      const { target, proxy } = await open(trusted);
      const names = ["For", "Proto", "Host", "Port", "Path", "Prefix"].map((name) => `X-Forwarded-${name}`);
      const all = [...names, "X-Real-IP", "X-Kong-Request-Id"].flatMap(aliases);
      expect(all).toHaveLength(6 * 3 + 3 + 7);
      const lines = all.flatMap((name) => [`${name}: 6.6.6.6\r\n`, `${name.toUpperCase()}: 6.6.6.6\r\n`]);
      await proxy.ask(`GET /mock/a HTTP/1.1\r\nHost: a.test\r\n${lines.join("")}\r\n`);
      expect(target.requests[0]!.head).not.toMatch(/_|6\.6\.6\.6/);
    },
  );

  it.each([
    { trusted: [], forwardedFor: "203.0.113.9", want: "127.0.0.1" },
    { trusted: ["10.0.0.0/8"], forwardedFor: "203.0.113.9", want: "127.0.0.1" },
    { trusted: ["127.0.0.0/8"], forwardedFor: "203.0.113.9", want: "203.0.113.9" },
    // From right to left: what stands before the first that is not trusted was written by that one.
    { trusted: ["127.0.0.0/8", "10.0.0.0/8"], forwardedFor: "6.6.6.6, 203.0.113.9, 10.1.1.1", want: "203.0.113.9" },
    { trusted: ["127.0.0.0/8", "10.0.0.0/8"], forwardedFor: "6.6.6.6, spoofed, 10.1.1.1", want: "10.1.1.1" },
  ])("makes $want the client in the log and for targets: $forwardedFor with $trusted trusted", async (one) => {
    let text = "";
    const send = (lines: Uint8Array) => {
      text += Buffer.from(lines).toString();
    };
    const accessLog = { sampleRatio: 1, send };
    const { target, proxy } = await open(one.trusted, [{}], { accessLog });
    const spoofs =
      "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n";
    await proxy.ask(`GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: ${one.forwardedFor}\r\n${spoofs}\r\n`);
    proxy.server.engine.accessLog!.flush();
    expect(JSON.parse(text).client).toBe(one.want);
    expect(target.requests[0]!.head).toContain(`\r\nX-Real-IP: ${one.want}\r\n`);
  });

  it("does not move a client to another address in the limit on connections", async () => {
    const { proxy } = await open([], [{}], { limits: { addressConnectionMaxCount: 1 } });
    const spoof = (address: string) => `GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: ${address}\r\n\r\n`;
    await proxy.client().send(spoof("192.0.2.1")).answer();
    await proxy.client().send(spoof("192.0.2.2")).closed;
    expect(proxy.counter("limit_address_connections")).toBe(1);
  });

  it("holds for one request only", async () => {
    const { target, proxy } = await open(["127.0.0.1"]);
    const client = proxy.client();
    await client.send(`GET /mock HTTP/1.1\r\nHost: a.test\r\n${claims}\r\n`).answer();
    await client.send("GET /mock HTTP/1.1\r\nHost: a.test\r\n\r\n").answer();
    expect(target.requests[1]!.head).toContain("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n");
    expect(target.requests[1]!.head).toContain("X-Real-IP: 127.0.0.1\r\n");
  });

  it("of TLS opens a route that only takes HTTPS", async () => {
    const routes = [{ paths: ["/mock"], protocols: ["https" as const], httpsRedirectStatus: 301 }];
    const request = `GET /mock?q HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Host: shop.test:80\r\n`;
    const believing = await open(["127.0.0.1"], routes);
    const answer = await believing.proxy.ask(`${request}X-Forwarded-Proto: https\r\n\r\n`);
    expect(answer.head).toContain(" 200 ");
    const redirect = await believing.proxy.ask(`${request}X-Forwarded-Proto: http\r\n\r\n`);
    expect(redirect.head).toContain("\r\nLocation: https://shop.test/mock?q\r\n");
    const wary = await open([], routes);
    const refused = await wary.proxy.ask(`${request}X-Forwarded-Proto: https\r\n\r\n`);
    expect(refused.head).toContain("\r\nLocation: https://a.test/mock?q\r\n");
  });
});
