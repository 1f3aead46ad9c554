import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { turnsOfTheLoop } from "../../test/support/sync-hub-rig.ts";
import { openLog } from "../telemetry/log.ts";
import { type AdminListenerLimits, startAdminListener } from "./admin-listener.ts";

const answerBytes = 300_000;

/** A port whose calls are answered with much. @param begun is called for each */
async function startPort(begun: () => void, limits: Partial<AdminListenerLimits> = {}): Promise<number> {
  const listener = await startAdminListener({
    listens: [{ host: "127.0.0.1", port: 0 }],
    adminHosts: [],
    rpc: {
      serves: () => true,
      handle(_request, response) {
        begun();
        response.end("x".repeat(answerBytes));
      },
    },
    rest: (_request, response) => void response.end(),
    log: openLog("silent"),
    limits,
  });
  onTestFinished(() => listener.close());
  return Number(listener.addresses[0]!.split(":").at(-1));
}

/** @param windowBytes of an answer that it takes; 0: none at all */
function clientOf(port: number, windowBytes: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: windowBytes } });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return session;
}

function call(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({ ":method": "POST", ":path": "/a.B/C" });
  stream.on("error", () => {});
  return stream.end();
}

const open = { initialWindowSize: 1024 * 1024 };

describe("calls over HTTP/2", () => {
  it("are not begun for who leaves the answers, until some are taken, and are for others", async () => {
    let begunCount = 0;
    const port = await startPort(() => begunCount++);
    const session = clientOf(port, 0);
    const streams = Array.from({ length: 60 }, () => call(session));
    await once(streams[0]!, "response");
    await turnsOfTheLoop();
    // 1 MiB is four answers; as many as begin in a turn may be above that.
    expect(begunCount).toBeLessThanOrEqual(12);
    expect((await text(call(clientOf(port, answerBytes)))).length).toBe(answerBytes);
    session.settings(open);
    const answers = await Promise.all(streams.map((stream) => text(stream)));
    expect(answers.every(({ length }) => length === answerBytes)).toBe(true);
    expect(begunCount).toBe(61);
  });

  it("go on when those that were answered are given up", async () => {
    let begunCount = 0;
    const session = clientOf(await startPort(() => begunCount++), 0);
    const streams = Array.from({ length: 60 }, () => call(session));
    await once(streams[0]!, "response");
    await turnsOfTheLoop();
    for (const stream of streams.slice(0, 50)) stream.close();
    session.settings(open);
    for (const stream of streams.slice(50)) expect((await text(stream)).length).toBe(answerBytes);
  });

  it("end with their session where it leaves most, and all leave too much", async () => {
    const port = await startPort(() => {}, { untakenMaxBytes: 3 * answerBytes });
    const greedy = clientOf(port, 0);
    const modest = clientOf(port, 0);
    const one = call(modest);
    await once(one, "response");
    const closed = new Promise((resolve) => greedy.once("close", resolve));
    for (let i = 0; i < 3; i++) call(greedy);
    await closed;
    expect(modest.destroyed).toBe(false);
    modest.settings(open);
    expect((await text(one)).length).toBe(answerBytes);
  });
});
