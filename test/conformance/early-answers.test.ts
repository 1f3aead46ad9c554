import { describe, expect, it, onTestFinished } from "vitest";
import { NodeLoad } from "../../data-plane/listener/node-load.ts";
import { openRawBackend, Rig, type RigOptions, until } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { rawExchange } from "./raw-exchange.ts";
import { readAnswers } from "./strict-reader.ts";

/** A target that answers as soon as it has seen a head, whatever of the body is still to come. */
async function hastyTarget(
  answer: string,
  server: RigOptions["server"] = {},
): Promise<{ rig: Rig; received: string[] }> {
  const received: string[] = [];
  const backend = await openRawBackend((socket, number) => {
    received[number - 1] = "";
    socket.on("data", (bytes) => {
      const before = received[number - 1]!;
      received[number - 1] = before + bytes.toString("latin1");
      if (!before.includes("\r\n\r\n") && received[number - 1]!.includes("\r\n\r\n")) socket.write(answer);
    });
  });
  onTestFinished(() => backend.close());
  const rig = await Rig.open({ ports: [backend.port], routes: [{ stripPath: false }], server });
  onTestFinished(() => rig.close());
  return { rig, received };
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

describe("S5: an answer before the request's body has ended", () => {
  it.each([
    ["a length", "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"],
    ["chunks", "HTTP/1.1 413 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"],
    ["no body", "HTTP/1.1 204 No\r\n\r\n"],
  ])("with %s ends both connections: the rest of the body is nobody's request", async (_, answer) => {
    const { rig, received } = await hastyTarget(answer);
    const head = "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n";
    const first = await rawExchange(rig.server.port, head + smuggled, {});
    expect(readAnswers(first.text, { isClosed: true }).messages).toHaveLength(1);
    expect(first.end).toBe("end");
    await rawExchange(rig.server.port, "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n", {
      isEnough: (text) => text.includes("\r\n\r\n"),
    });
    expect(received).toHaveLength(2);
    expect(received[1]).toMatch(/^GET \/next /);
  });

  it("of our own throws a short rest away and goes on with the next request", async () => {
    const { rig, received } = await hastyTarget("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig.apply({ ports: [], routes: [{ paths: ["/other"] }] });
    const head = `POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${smuggled.length}\r\n\r\n`;
    const last = "GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    const { text } = await rawExchange(rig.server.port, head + smuggled + last);
    expect(text.match(/HTTP\/1\.1 404 /g)).toHaveLength(2);
    expect(received).toEqual([]);
  });

  it.each([
    [65_536, 2],
    [65_537, 1],
  ])("of our own throws exactly 64 KB away, and no byte more: %i bytes", async (length, answerCount) => {
    const { rig, received } = await hastyTarget("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig.apply({ ports: [], routes: [{ paths: ["/other"] }] });
    const head = `POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`;
    const body = smuggled.repeat(2_000).slice(0, length);
    const last = "GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    // The body comes after the answer: all of it is left by then.
    const { text } = await rawExchange(rig.server.port, head + body + last, { cuts: [head.length] });
    expect(text.match(/HTTP\/1\.1 404 /g)).toHaveLength(answerCount);
    const firstHead = text.slice(0, text.indexOf("\r\n\r\n"));
    expect(firstHead.includes("\r\nConnection: close\r\n")).toBe(answerCount === 1);
    expect(received).toEqual([]);
  });

  it("of our own throws nothing away whose end nobody can tell: chunks end the connection", async () => {
    const { rig } = await hastyTarget("");
    rig.apply({ ports: [], routes: [{ paths: ["/other"] }] });
    const head = "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const { text } = await rawExchange(rig.server.port, `${head}5\r\nhello\r\n0\r\n\r\n${smuggled}`);
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(text).toMatch(/^HTTP\/1\.1 404 .*\r\nConnection: close\r\n/s);
  });

  it.each([
    ["that comes at once", 0],
    ["that is cut in its midst", 20],
  ])("to who is refused in overload leaves nothing of a body %s for the next request", async (_, cut) => {
    const load = NodeLoad.create(1);
    const { rig, received } = await hastyTarget("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", {
      load,
      limits: { shedHoldMs: 50 },
    });
    // Every second request: the first is taken, the second refused, and so on.
    load.memoryRatio = 0.5;
    await until(() => rig.server.engine.shedder.memoryRatio === 0.5);
    const head = `POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${smuggled.length}\r\n\r\n`;
    const first = "GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n";
    const last = "GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    const cuts = cut === 0 ? [] : [first.length + head.length + cut];
    const { text } = await rawExchange(rig.server.port, first + head + smuggled + last, { cuts });
    expect(text.match(/HTTP\/1\.1 \d{3} /g)).toEqual(["HTTP/1.1 200 ", "HTTP/1.1 503 ", "HTTP/1.1 200 "]);
    expect(received.map((request) => request.split(" ", 2).join(" "))).toEqual(["GET /first", "GET /last"]);
    expect(received.join("")).not.toContain("/smuggled");
  });
});
