import { describe, expect, it, onTestFinished } from "vitest";
import { answerText, type Backend, backend, get, openRawBackend, rig, until } from "./proxy-server.test-rig.ts";

/** A server that answers as soon as a head is here, and keeps what came. */
async function headBackend(answer: string): Promise<Backend & { received: string }> {
  const made: Backend & { received: string } = Object.assign(
    await openRawBackend((socket) => {
      let isAnswered = false;
      socket.on("data", (bytes) => {
        made.received += bytes.toString("latin1");
        if (!isAnswered && made.received.includes("\r\n\r\n")) socket.write(answer);
        isAnswered = true;
        if (made.received.endsWith("body")) socket.write(answerText("taken"));
      });
    }),
    { received: "" },
  );
  onTestFinished(() => made.close());
  return made;
}

const waitingPost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
const hints = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nKeep-Alive: 1\r\nConnection: x-drop\r\nX-Drop: 1\r\n\r\n";

describe("interim answers", () => {
  it("pass to HTTP/1.1 clients, each once and in order, and both connections go on", async () => {
    const interim = `${hints}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n`;
    const target = await backend((_, socket) => void socket.write(interim + answerText("hello")));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 1; i <= 3; i++) {
      client.send(get("/"));
      expect((await client.answer()).head).toBe("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");
      expect((await client.answer()).head).toBe("HTTP/1.1 102 Processing\r\n\r\n");
      expect((await client.answer()).body).toBe("hello");
    }
    expect(target.connectionCount).toBe(1);
    expect(proxy.counter("responses_1xx")).toBe(6);
  });

  it("pass at once, however they are cut", async () => {
    let finish = () => {};
    const target = await backend(async (_, socket) => {
      finish = () => socket.write(answerText("hello"));
      for (const byte of hints) {
        socket.write(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    expect((await client.answer()).head).toBe("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");
    finish();
    expect((await client.answer()).body).toBe("hello");
  });

  it("do not pass to HTTP/1.0 clients", async () => {
    const target = await backend((_, socket) => void socket.write(hints + answerText("hello")));
    const proxy = await rig({ ports: [target.port] });
    expect(await proxy.client().send("GET / HTTP/1.0\r\n\r\n").rest()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*hello$/s);
  });

  it("are too many at some point: 502", async () => {
    const target = await backend((_, socket) => void socket.write(hints.repeat(1_000)));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    for (let i = 0; i < 16; i++) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 103 /);
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 502 .*details="interim_answers"/s);
    await until(() => target.sockets.size === 0);
  });

  it("say that the server is still at work", async () => {
    const target = await backend((_, socket) => {
      let count = 0;
      const working = setInterval(() => {
        if (++count < 8) socket.write("HTTP/1.1 102 Processing\r\n\r\n");
        else {
          clearInterval(working);
          socket.write(answerText("done"));
        }
      }, 50);
    });
    const proxy = await rig({ ports: [target.port], service: { readTimeoutMs: 200 } });
    const client = proxy.client().send(get("/"));
    for (let i = 1; i < 8; i++) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 102 /);
    expect((await client.answer()).body).toBe("done");
  });
});

describe("a client that waits for 100 Continue", () => {
  it("is asked for its body by the server", async () => {
    const target = await headBackend("HTTP/1.1 100 Continue\r\nX-Note: 1\r\n\r\n");
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(waitingPost);
    expect((await client.answer()).head).toBe("HTTP/1.1 100 Continue\r\nX-Note: 1\r\n\r\n");
    expect(target.received).toMatch(/^Expect: 100-continue\r$/m);
    expect(target.received).not.toContain("body");
    expect((await client.send("body").answer()).body).toBe("taken");
  });

  it("is asked by us when the server says nothing", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [target.port], server: { limits: { continueTimeoutMs: 50 } } });
    const client = proxy.client();
    for (let i = 0; i < 2; i++) {
      expect((await client.send(waitingPost).answer()).head).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      expect((await client.send("body").answer()).body).toBe("body");
    }
    expect(target.connectionCount).toBe(1);
  });

  it("is refused by the server before its body has travelled, and the connections end", async () => {
    const target = await headBackend("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    const proxy = await rig({ ports: [target.port], server: { limits: { lingerTimeoutMs: 50 } } });
    const client = proxy.client().send(waitingPost);
    const answer = await client.answer();
    expect(answer.head).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n/s);
    expect(answer.body).toBe("no");
    expect(await client.closed).toBe("end");
    await until(() => target.sockets.size === 0);
  });

  it("is refused by us without being asked", async () => {
    const proxy = await rig({ ports: [] });
    expect(await proxy.client().send(waitingPost).rest()).toMatch(/^HTTP\/1\.1 503 .*Connection: close\r\n/s);
  });

  it("need not wait: then nobody asks", async () => {
    const target = await headBackend("HTTP/1.1 100 Continue\r\n\r\n");
    const proxy = await rig({ ports: [target.port] });
    expect((await proxy.ask(`${waitingPost}body`)).body).toBe("taken");
    expect(target.received).not.toContain("Expect");
  });

  it("has nothing to wait for without a body, or with HTTP/1.0", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [target.port] });
    expect((await proxy.ask(get("/", "Expect: 100-continue\r\n"))).head).toMatch(/^HTTP\/1\.1 200 /);
    const old = "POST / HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody";
    expect((await proxy.ask(old)).body).toBe("body");
    for (const { head } of target.requests) expect(head).not.toContain("Expect");
  });
});
