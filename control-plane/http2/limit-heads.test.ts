import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { floodUntilCutOff, framesMax, http2Floods, plainTo } from "../../test/support/http2-floods.ts";
import { limitHeads } from "./limit-heads.ts";

/** A server of which each call resolves when its content has been read, and a client of it. */
async function rig({ isTimeOurs = true } = {}) {
  if (isTimeOurs) vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
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
  const { port } = server.address() as AddressInfo;
  const client = connect(`http://127.0.0.1:${port}`);
  client.on("error", () => {});
  onTestFinished(async () => {
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
    vi.useRealTimers();
  });
  const [session] = (await once(server, "session")) as [ServerHttp2Session];
  return { client, session, port };
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

it("lets calls have large heads, also many at once", async () => {
  const { client, session } = await rig();
  // Another one each time: what was said before HPACK need not say again.
  for (let i = 0; i < 60; i++) await call(client, 1, `token${i}`.repeat(1_500));
  vi.advanceTimersByTime(250);
  expect(session.destroyed).toBe(false);
});

it("cuts off who sends 256 KiB of heads that are refused between two looks", async () => {
  const { port } = await rig({ isTimeOurs: false });
  const flood = http2Floods("/a.B/C").find(({ name }) => name === "heads that become large")!;
  expect((await floodUntilCutOff(plainTo(port), flood)).frameCount).toBeLessThan(framesMax);
});
