import { describe, expect, it, onTestFinished } from "vitest";
import { openRawBackend, Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { rawExchange } from "./raw-exchange.ts";
import { readAnswers } from "./strict-reader.ts";

/** A target that answers as soon as it has seen a head, whatever of the body is still to come. */
async function hastyTarget(answer: string): Promise<{ rig: Rig; received: string[] }> {
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
  const rig = await Rig.open({ ports: [backend.port], routes: [{ stripPath: false }] });
  onTestFinished(() => rig.close());
  return { rig, received };
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

describe("an answer before the request's body has ended", () => {
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
});
