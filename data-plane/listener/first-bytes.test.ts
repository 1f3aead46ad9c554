import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import {
  answerText,
  type Backend,
  get,
  openBackend,
  post,
  type RawClient,
  Rig,
  until,
} from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function rigAndTarget(acceptMode: "onread" | "events" = "onread"): Promise<{ proxy: Rig; target: Backend }> {
  const target = await openBackend(
    (request, socket) => void socket.write(answerText(request.body || request.head.split(" ")[0]!)),
  );
  const proxy = await Rig.open({ ports: [target.port], server: { acceptMode, limits: { headTimeoutMs: 200 } } });
  opened.push(target, proxy);
  return { proxy, target };
}

async function inPieces(client: RawClient, text: string, pieceBytes: number): Promise<void> {
  for (let at = 0; at < text.length; at += pieceBytes) {
    client.send(text.slice(at, at + pieceBytes));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

describe("S6 until HTTP/2 is served: first bytes", () => {
  it.each([1, 5, 24])("tell HTTP/2, which is answered in HTTP/1.1 for now: pieces of %i", async (pieceBytes) => {
    const { proxy, target } = await rigAndTarget();
    const client = proxy.client();
    await inPieces(client, preface, pieceBytes);
    const rest = await client.rest();
    expect(rest).toMatch(/^HTTP\/1\.1 505 .*\r\nConnection: close\r\n.*details="http2_preface"/s);
    expect(rest.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(target.connectionCount).toBe(0);
    expect(proxy.counter("rejected_requests")).toBe(1);
  });

  it("tell TLS, which is answered in plain text", async () => {
    const { proxy } = await rigAndTarget();
    const hello = `\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03${"\0".repeat(500)}`;
    for (const pieceBytes of [1_000, 1]) {
      const client = proxy.client();
      await inPieces(client, hello.slice(0, 40), pieceBytes);
      const rest = await client.rest();
      expect(rest).toMatch(/^HTTP\/1\.1 400 .*Content-Type: text\/plain.*details="tls_on_plain_port"/s);
      expect(rest).toContain("\r\n\r\nTLS on a plain HTTP port\n");
    }
  });

  it("make real clients of both fail, and the next one work", async () => {
    const { proxy } = await rigAndTarget();
    const session = connectHttp2(`http://127.0.0.1:${proxy.server.port}`);
    await new Promise((resolve) => session.on("error", resolve));
    const tls = connectTls({ port: proxy.server.port, host: "127.0.0.1", rejectUnauthorized: false });
    await new Promise((resolve) => tls.on("error", resolve));
    expect((await proxy.ask(get("/"))).body).toBe("GET");
    expect(proxy.defects).toEqual([]);
  });

  it.each(["onread", "events"] as const)("that begin like a preface may be HTTP/1: %s", async (mode) => {
    const { proxy } = await rigAndTarget(mode);
    for (const [first, rest, want] of [
      ["P", post("/", "hello").slice(1), "hello"],
      ["PR", "OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "PROPFIND"],
      ["PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "", "PROPFIND"],
    ] as const) {
      const client = proxy.client().send(first);
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (rest !== "") client.send(rest);
      expect((await client.answer()).body).toBe(want);
      // From here on nothing is sniffed: the same bytes are a bad request.
      expect(await client.send(preface).rest()).toMatch(/^HTTP\/1\.1 501 /);
    }
  });

  it.each(["PRI * HTTP/2.0\r\n\r\n", "P", "\x16"])("have the time of a head to decide: %j", async (text) => {
    const { proxy } = await rigAndTarget();
    expect(await proxy.client().send(text).rest()).toBe("");
    await until(() => proxy.counter("connections_active") === 0);
  });

  it("that stop in the midst of a preface are no request", async () => {
    const { proxy } = await rigAndTarget();
    const client = proxy.client().send("PRI * HTTP/2.0\r\n\r\n");
    client.socket.end();
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 501 /);
  });
});
