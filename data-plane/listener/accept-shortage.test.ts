import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { answerText, get, openBackend, RawClient, Rig, until } from "./proxy-server.test-rig.ts";

/** A proxy that goes on with a listening server of the test's. */
async function open() {
  const target = await openBackend((_, socket) => void socket.write(answerText("hello")));
  const proxy = await Rig.open({ ports: [target.port] });
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  proxy.server.adopt({ plain: [server], tls: [] });
  onTestFinished(async () => {
    await proxy.close();
    await target.close();
  });
  return { target, proxy, server, port };
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
});
