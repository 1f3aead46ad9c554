import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { answerText, backend, get, post, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";
import { acceptText } from "./websocket-server.test-rig.ts";

const status = (message: RawMessage): number => Number(message.head.slice(9, 12));
const say = (socket: Socket, code: number) => void socket.write(`HTTP/1.1 ${code} Said\r\nContent-Length: 2\r\n\r\nok`);
const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const handshake = get(
  "/chat",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n",
);
const websockets = () => backend(({ head }, socket) => void socket.write(acceptText(head)));

describe("the trial of an endpoint that is out", () => {
  it("is passed by a websocket", async () => {
    const proxy = await rig({ ports: [(await websockets()).port, (await websockets()).port] });
    proxy.table.eject(0, 0);
    proxy.table.offerTrial(0, 0, false);
    const client = proxy.client().send(handshake);
    expect(status(await client.answer())).toBe(101);
    expect(proxy.trials).toEqual(["0 passed"]);
    client.close();
  });

  it("is not one with a body: what is too long to be kept could not be sent again", async () => {
    const [out, good] = [await hello(), await hello()];
    const proxy = await rig({ ports: [out.port, good.port] });
    proxy.table.eject(0, 0);
    proxy.table.offerTrial(0, 0, false);
    const large = post("/", "x".repeat(100_000)).replace("POST", "PUT");
    expect(status(await proxy.ask(large))).toBe(200);
    expect([out.requests.length, proxy.trials]).toEqual([0, []]);
    expect(status(await proxy.ask(get("/")))).toBe(200);
    expect(proxy.trials).toEqual(["0 passed"]);
  });

  it("is not to be had of one that a person took out", async () => {
    const [out, good] = [await hello(), await hello()];
    const proxy = await rig({ ports: [out.port, good.port] });
    proxy.table.eject(0, 0);
    proxy.table.setFlag(0, 0, "forced_out", true);
    proxy.table.offerTrial(0, 0, true);
    expect(status(await proxy.ask(get("/")))).toBe(200);
    expect([out.requests.length, proxy.trials]).toEqual([0, ["0 unclear"]]);
  });
});

describe("a websocket that begins", () => {
  it("ends a row of resets, and says that the endpoint that reset before it did worse", async () => {
    const odd = await backend(({ head }, socket) => {
      if (head.startsWith("GET /chat")) socket.write(acceptText(head));
      else socket.resetAndDestroy();
    });
    const proxy = await rig({ ports: [odd.port, (await websockets()).port] });
    for (let i = 0; i < 12; i++) {
      await proxy.ask(post("/", "small"));
      await proxy.ask(handshake);
      await proxy.ask(handshake);
    }
    expect(odd.requests.length).toBeGreaterThan(12);
    expect(proxy.ejected).toEqual([]);
  });
});

describe("requests that are never sent again because their service says so", () => {
  it("take an endpoint out that answers them badly while others answer them well", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port], service: { retries: 0 } });
    for (let i = 0; i < 60; i++) await proxy.ask(get("/"));
    expect(proxy.ejected).toEqual(["upstream:u 0 bad_answers"]);
    expect(bad.requests).toHaveLength(20);
  });

  it("leave an endpoint in that answers most of them well", async () => {
    const odd = await backend(({ head }, socket) => say(socket, head.startsWith("GET /bad") ? 503 : 200));
    const proxy = await rig({ ports: [odd.port, (await hello()).port], service: { retries: 0 } });
    for (let i = 0; i < 30; i++) {
      for (const text of [get("/bad"), get("/"), get("/"), post("/", "small")]) {
        await proxy.ask(text);
        await proxy.ask(text);
      }
    }
    expect(proxy.ejected).toEqual([]);
  });
});

describe("a request whose body breaks the rules while its connection comes about", () => {
  it("is refused, and what was learnt of the connection is kept", async () => {
    const proxy = await rig({ ports: [(await hello()).port] });
    const text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n";
    expect(status(await proxy.ask(text))).toBe(400);
    const { history } = proxy.server.engine.snapshots.current!.pools[0]!;
    await until(() => history.connects.count === 1);
    expect(proxy.defects).toEqual([]);
  });
});
