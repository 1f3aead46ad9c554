import { describe, expect, it } from "vitest";
import {
  answerText,
  backend,
  closedPort,
  get,
  post,
  type RawMessage,
  type RigOptions,
  rig,
} from "./proxy-server.test-rig.ts";

const asks = "Penstock-Debug: attempts\r\n";
const debugFrom = ["127.0.0.1"];

/** What an answer tells of its attempts, without the times; null for nothing. */
function attemptsOf({ head }: RawMessage): string | null {
  const value = /^Penstock-Attempts: (.*)\r$/im.exec(head)?.[1] ?? null;
  return value === null ? null : value.replaceAll(/;(ms|connect|wait)=\d+\.\d/g, ";$1");
}

describe("Penstock-Debug: attempts", () => {
  it("is answered with the attempt, and the time to connect where there was one", async () => {
    const target = await backend((_, socket) => socket.write(answerText("hi")));
    const proxy = await rig({ ports: [target.port], server: { debugFrom } });
    const client = proxy.client();
    expect(attemptsOf(await client.send(get("/", asks)).answer())).toBe(
      `"127.0.0.1:${target.port}";status=200;ms;connect;wait`,
    );
    expect(attemptsOf(await client.send(get("/", asks)).answer())).toBe(
      `"127.0.0.1:${target.port}";status=200;ms;wait`,
    );
    expect(attemptsOf(await client.send(get("/")).answer())).toBeNull();
  });

  it("tells of one that came to nothing", async () => {
    const target = await backend((_, socket) => socket.write(answerText("hi")));
    const closed = await closedPort();
    const proxy = await rig({ ports: [closed, target.port], server: { debugFrom } });
    expect(attemptsOf(await proxy.ask(get("/", asks)))).toBe(
      `"127.0.0.1:${closed}";error=connection_refused;ms, "127.0.0.1:${target.port}";status=200;ms;connect;wait`,
    );
  });

  it("tells of an answer that was not passed on", async () => {
    const busy = await backend((_, socket) => socket.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    const target = await backend((_, socket) => socket.write(answerText("hi")));
    const proxy = await rig({ ports: [busy.port, target.port], server: { debugFrom } });
    expect(attemptsOf(await proxy.ask(get("/", asks)))).toBe(
      `"127.0.0.1:${busy.port}";status=503;ms;connect;wait, "127.0.0.1:${target.port}";status=200;ms;connect;wait`,
    );
  });

  it("is answered in answers of our own", async () => {
    const reset = await backend((_, socket) => socket.destroy());
    const closed = await closedPort();
    const proxy = await rig({ ports: [closed, reset.port], routes: [{ paths: ["/a"] }], server: { debugFrom } });
    const lost = await proxy.ask(post("/a", "x", asks));
    expect(lost.head).toMatch(/^HTTP\/1\.1 502 /);
    expect(attemptsOf(lost)).toBe(
      `"127.0.0.1:${closed}";error=connection_refused;ms, "127.0.0.1:${reset.port}";error=connection_terminated;ms;connect`,
    );
    const unrouted = await proxy.ask(get("/b", asks));
    expect(unrouted.head).toMatch(/^HTTP\/1\.1 404 /);
    expect(attemptsOf(unrouted)).toBe("none");
  });

  it("is answered when a websocket opens", async () => {
    const target = await backend((_, socket) =>
      socket.write("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    );
    const proxy = await rig({ ports: [target.port], server: { debugFrom } });
    const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    const client = proxy.client().send(get("/", asks + upgrade));
    expect(attemptsOf(await client.answer(false))).toBe(`"127.0.0.1:${target.port}";status=101;ms;connect;wait`);
    client.close();
  });

  it.each<{ name: string; lines: string; server: RigOptions["server"]; from?: string; isTold: boolean }>([
    { name: "an address that is not trusted", lines: asks, server: { debugFrom }, from: "127.0.0.2", isTold: false },
    { name: "anybody, when nobody is trusted", lines: asks, server: {}, isTold: false },
    { name: "who asks for something else", lines: "Penstock-Debug: all\r\n", server: { debugFrom }, isTold: false },
    { name: "who asks for more", lines: "penstock-debug: x, Attempts\r\n", server: { debugFrom }, isTold: true },
    {
      name: "another spelling of the name",
      lines: "Penstock_Debug: attempts\r\n",
      server: { debugFrom },
      isTold: false,
    },
    {
      name: "a client behind a trusted proxy",
      lines: `${asks}X-Forwarded-For: 192.0.2.1\r\n`,
      server: { debugFrom, trustedProxies: ["127.0.0.1"] },
      isTold: false,
    },
    {
      name: "a trusted client behind a trusted proxy",
      lines: `${asks}X-Forwarded-For: 192.0.2.1\r\n`,
      server: { debugFrom: ["192.0.2.0/24"], trustedProxies: ["127.0.0.1"] },
      isTold: true,
    },
    {
      name: "who claims to be a trusted client",
      lines: `${asks}X-Forwarded-For: 192.0.2.1\r\n`,
      server: { debugFrom: ["192.0.2.0/24"] },
      isTold: false,
    },
    {
      name: "a trusted client, with an access log",
      lines: asks,
      server: { debugFrom, accessLog: { sampleRatio: 1, send: () => {} } },
      isTold: true,
    },
  ])("from $name: told is $isTold, and no target hears of it", async ({ lines, server = {}, from, isTold }) => {
    const target = await backend((_, socket) => socket.write(answerText("hi", 'Penstock-Attempts: "x"\r\n')));
    const proxy = await rig({ ports: [target.port], server });
    const client = proxy.client(from);
    const answer = await client.send(get("/", lines)).answer();
    expect(attemptsOf(answer)).toBe(isTold ? `"127.0.0.1:${target.port}";status=200;ms;connect;wait` : null);
    expect(target.requests[0]!.head).not.toMatch(/penstock.debug|attempts/i);
    expect(attemptsOf(await client.send(get("/")).answer())).toBeNull();
  });
});
