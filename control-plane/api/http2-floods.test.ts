import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { floodUntilCutOff, framesMax, http2Floods, plainTo } from "../../test/support/http2-floods.ts";
import { openLog } from "../telemetry/log.ts";
import { startAdminListener } from "./admin-listener.ts";

const path = "/a.B/C";

/** A port whose calls are answered when they end. @param begun is called for each */
async function startPort(begun = () => {}, answer = "an answer"): Promise<number> {
  const listener = await startAdminListener({
    listens: [{ host: "127.0.0.1", port: 0 }],
    adminHosts: [],
    rpc: {
      serves: () => true,
      handle(request, response) {
        begun();
        void text(request).then(
          () => response.end(answer),
          () => {},
        );
      },
    },
    rest: (_request, response) => void response.end(),
    log: openLog("silent"),
  });
  onTestFinished(() => listener.close());
  return Number(listener.addresses[0]!.split(":").at(-1));
}

function clientOf(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  return session;
}

/** One call; resolves with its status. */
async function call(session: ClientHttp2Session): Promise<number> {
  const stream = session.request({ ":method": "POST", ":path": path });
  stream.resume();
  stream.end();
  const [head] = await once(stream, "response");
  return Number(head[":status"]);
}

describe("the admin port", () => {
  it.each(http2Floods(path))("cuts off who floods it with $name, and goes on with the others", async (flood) => {
    const port = await startPort();
    expect(await call(clientOf(port))).toBe(200);
    expect((await floodUntilCutOff(plainTo(port), flood)).frameCount).toBeLessThan(framesMax);
    expect(await call(clientOf(port))).toBe(200);
  });

  it("does not take for a flood that a client pings after each answer, as those in Go do", async () => {
    const session = clientOf(await startPort());
    for (let i = 0; i < 500; i++) {
      expect(await call(session)).toBe(200);
      await new Promise((resolve) => session.ping(resolve));
    }
    expect(session.destroyed).toBe(false);
  });

  it("begins a few in a turn of the event loop of calls that come at once, and all in the end", async () => {
    let turn = 0;
    const begunByTurn: number[] = [];
    const port = await startPort(() => (begunByTurn[turn] = (begunByTurn[turn] ?? 0) + 1));
    const session = clientOf(port);
    const calls = Promise.all(Array.from({ length: 200 }, () => call(session)));
    let isOver = false;
    calls.finally(() => (isOver = true));
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      turn++;
    }
    expect(await calls).toEqual(Array(200).fill(200));
    // As they come, and again when those that wait have their turn.
    expect(Math.max(...Object.values(begunByTurn))).toBeLessThanOrEqual(16);
  });

  it("does not begin calls that were reset before their turn", async () => {
    let begunCount = 0;
    const port = await startPort(() => begunCount++);
    const flood = http2Floods(path).find(({ name }) => name === "calls that it resets")!;
    await floodUntilCutOff(plainTo(port), flood);
    expect(begunCount).toBeLessThanOrEqual(8);
  });

  it("refuses calls of who leaves 4 MiB of answers beside one, and takes them again when they have been read", async () => {
    const port = await startPort(() => {}, "x".repeat(1024 * 1024));
    const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
    onTestFinished(() => session.destroy());
    const streams = Array.from({ length: 40 }, () => session.request({ ":method": "POST", ":path": path }).end());
    const isRefused = await Promise.all(
      streams.map(async (stream) => {
        stream.on("error", () => {});
        await Promise.race([once(stream, "response"), new Promise((resolve) => stream.once("close", resolve))]);
        return stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      }),
    );
    const answered = streams.filter((_, i) => !isRefused[i]);
    // And as many as may be begun in a turn.
    expect(answered.length).toBeGreaterThan(4);
    expect(answered.length).toBeLessThanOrEqual(14);
    expect(await call(clientOf(port))).toBe(200);
    session.settings({ initialWindowSize: 1024 * 1024 });
    for (const stream of answered) expect((await text(stream)).length).toBe(1024 * 1024);
    expect(await call(session)).toBe(200);
  });
});
