import type { Socket } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { answerText, backend, get, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";

const hourMs = 3_600_000;

afterEach(() => void vi.restoreAllMocks());

/** Sets the clock on the wall. */
function setWallClock(offsetMs: number): void {
  vi.restoreAllMocks();
  const now = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => now() + offsetMs);
}

it("row 9: a wall clock that is set by an hour costs no request and no connection, and takes nobody out", async () => {
  const held: Socket[] = [];
  const answer = (request: RawMessage, socket: Socket) => {
    if (request.head.startsWith("GET /held ")) held.push(socket);
    else socket.write(answerText("ok"));
  };
  const targets = [await backend(answer), await backend(answer)];
  const proxy = await rig({ ports: targets.map(({ port }) => port) });
  const [client, waiting] = [proxy.client(), proxy.client()];
  const askTen = async () => {
    for (let i = 0; i < 10; i++) expect((await client.send(get("/")).answer()).head).toMatch(/^HTTP\/1\.1 200 /);
  };
  await askTen();
  const connectionCounts = targets.map(({ connectionCount }) => connectionCount);
  for (const offsetMs of [hourMs, -hourMs, 0]) {
    // One request is under way meanwhile.
    waiting.send(get("/held"));
    await until(() => held.length === 1);
    setWallClock(offsetMs);
    await askTen();
    held.pop()!.write(answerText("held"));
    expect((await waiting.answer()).body).toBe("held");
  }
  expect(proxy.ejected).toEqual([]);
  expect(proxy.counter("connections_accepted")).toBe(2);
  // Nothing that was kept was taken for old; what was held needed one more connection, at one of them or the other.
  const newCount = targets.reduce((sum, { connectionCount }, i) => sum + connectionCount - connectionCounts[i]!, 0);
  expect(newCount).toBeLessThanOrEqual(2);
});
