import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { limitHeads } from "./limit-heads.ts";

/** A server of which each call resolves when its content has been read, and a client of it. */
async function rig() {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const server = createServer();
  server.on("session", limitHeads);
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.resume();
    stream.once("end", () => stream.end("read"));
    stream.respond();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on("error", () => {});
  onTestFinished(() => {
    vi.useRealTimers();
    client.destroy();
    server.close();
  });
  const [session] = (await once(server, "session")) as [ServerHttp2Session];
  return { client, session };
}

async function call(client: ClientHttp2Session, contentBytes: number, field = ""): Promise<void> {
  const stream = client.request({ ":method": "POST", ...(field && { field }) });
  stream.resume();
  stream.end(Buffer.alloc(contentBytes));
  await once(stream, "end");
}

it("lets contents be as large as they are", async () => {
  const { client, session } = await rig();
  for (let i = 0; i < 3; i++) {
    await call(client, 4 * 1024 * 1024);
    vi.advanceTimersByTime(250);
  }
  expect(session.destroyed).toBe(false);
});

it("cuts off who sends 256 KiB of heads between two looks, and nobody who takes his time", async () => {
  const { client, session } = await rig();
  // Another one each time: what was said before HPACK need not say again.
  const heads = async (count: number, name: string) => {
    for (let i = 0; i < count; i++) await call(client, 1, `${name}${i}`.repeat(2_000));
  };
  for (let i = 0; i < 5; i++) {
    await heads(15, `slow${i}`);
    vi.advanceTimersByTime(250);
  }
  expect(session.destroyed).toBe(false);
  await heads(60, "fast");
  vi.advanceTimersByTime(250);
  expect(session.destroyed).toBe(true);
});
