import { describe, expect, it } from "vitest";
import { askAll, limited, patientTarget, status } from "./in-flight-limits.test-rig.ts";
import { get, type RawClient, rig, until } from "./proxy-server.test-rig.ts";

const requests = [
  { name: "without a body", text: get("/waits") },
  { name: "whose body has come", text: `${postHead(3)}abc` },
  { name: "whose chunks have come", text: chunkedPost("3\r\nabc\r\n0\r\n\r\n") },
];

const inTheMidst = [
  { name: "of so many bytes", text: `${postHead(100)}abc` },
  { name: "of chunks", text: chunkedPost("3\r\nab") },
];

function chunkedPost(body: string): string {
  return `POST /waits HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

function postHead(length: number): string {
  return `POST /waits HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`;
}

/** One client at the target, one that waits, and no room for another. */
async function fullQueue(text: string) {
  const target = await patientTarget();
  const proxy = await rig({ ports: [target.port], pool: limited({ max: 1, queueSize: 1 }) });
  const [first] = await askAll(proxy, 1);
  const waiting = proxy.client().send(text);
  await until(() => proxy.counter("queued_active") === 1);
  return { target, proxy, first: first!, waiting };
}

describe("a client that waits for its turn", () => {
  it.each([...requests, ...inTheMidst])(
    "and resets its connection has no place any more: a request $name",
    async ({ text }) => {
      const { target, proxy, first, waiting } = await fullQueue(text);
      waiting.reset();
      await until(() => proxy.counter("queued_active") === 0);
      expect(proxy.counter("client_aborts")).toBe(1);
      const next = proxy.client().send(get("/next"));
      await until(() => proxy.counter("queued_active") === 1);
      for (const client of [first, next]) await isAnswered(client, target);
      expect(target.target.requests.map(({ head }) => head.split(" ")[1])).toEqual(["/0", "/next"]);
    },
  );

  it.each(requests)("and sends FIN keeps its place and is answered: a request $name", async ({ text }) => {
    const { target, proxy, first, waiting } = await fullQueue(text);
    waiting.socket.end();
    // The client has had FIN acknowledged; that the proxy has read it shows in nothing else but what follows.
    expect(status(await proxy.ask(get("/over")))).toBe(503);
    await isAnswered(first, target);
    await isAnswered(waiting, target);
    expect(await waiting.closed).toBe("end");
    expect(proxy.counter("client_aborts")).toBe(0);
  });

  it.each(inTheMidst)(
    "and sends FIN in the midst of its body leaves its turn to the next one: a body $name",
    async ({ text }) => {
      const { target, proxy, first, waiting } = await fullQueue(text);
      waiting.socket.end();
      await isAnswered(first, target);
      await until(() => proxy.counter("queued_active") === 0);
      await waiting.closed;
      // Whoever comes next gets the turn.
      const next = proxy.client().send(get("/next"));
      await until(() => target.paths().includes("/next"));
      target.answer();
      expect(status(await next.answer())).toBe(200);
      expect(proxy.counter("client_aborts")).toBe(1);
    },
  );
});

async function isAnswered(client: RawClient, target: Awaited<ReturnType<typeof patientTarget>>): Promise<void> {
  await until(() => target.waiting.length === 1);
  target.answer();
  expect(status(await client.answer())).toBe(200);
}
