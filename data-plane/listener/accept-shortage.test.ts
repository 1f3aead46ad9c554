import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { NodeLoad } from "./node-load.ts";
import { answerText, get, openBackend, RawClient, Rig, until } from "./proxy-server.test-rig.ts";

/** A proxy that goes on with a listening server of the test's. */
async function open() {
  const load = NodeLoad.create(1);
  const target = await openBackend((_, socket) => void socket.write(answerText("hello")));
  const proxy = await Rig.open({ ports: [target.port], server: { load } });
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  proxy.server.adopt({ plain: [server], tls: [] });
  onTestFinished(async () => {
    await proxy.close();
    await target.close();
  });
  return { target, proxy, server, port, load };
}

const acceptError = (code: string) => Object.assign(new Error(`accept ${code}`), { code, syscall: "accept" });

describe("row 26: a connection that cannot be accepted", () => {
  it.each(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])(
    "for %s is waited for: counted as a pause, idle connections to targets make room, and it goes on",
    async (code) => {
      const { target, proxy, server, port } = await open();
      await proxy.ask(get("/"));
      expect(target.sockets.size).toBe(1);
      for (let i = 0; i < 3; i++) server.emit("error", acceptError(code));
      expect([proxy.counter("accept_pauses"), proxy.defects.length]).toEqual([3, 0]);
      await until(() => target.sockets.size === 0);
      const client = new RawClient(port).send(get("/"));
      expect((await client.answer()).body).toBe("hello");
      client.close();
    },
  );

  it("for any other reason is a defect, and said to be one", async () => {
    const { proxy, server } = await open();
    server.emit("error", acceptError("EINVAL"));
    expect([proxy.counter("accept_pauses"), proxy.defects.length]).toEqual([0, 1]);
  });

  it("which the main thread has noticed is one pause, in which idle connections to targets are closed and clients served", async () => {
    const { target, proxy, load } = await open();
    const client = proxy.client();
    load.isOutOfDescriptors = true;
    for (let i = 0; i < 5; i++) {
      expect((await client.send(get("/")).answer()).body).toBe("hello");
      await until(() => target.sockets.size === 0);
    }
    expect([proxy.counter("accept_pauses"), target.connectionCount]).toEqual([1, 5]);
  });
});

describe("row 26: clients for whom there are no descriptors", () => {
  it("are closed unread, whatever limit was asked for", async () => {
    const { proxy, load } = await open();
    load.connectionMaxCount = 1;
    const client = proxy.client().send(get("/"));
    expect((await client.answer()).body).toBe("hello");
    expect(await proxy.client().send(get("/")).rest()).toBe("");
    expect(proxy.counter("limit_connections")).toBe(1);
  });
});
