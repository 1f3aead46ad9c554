import { connect, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { answerText, get, openBackend, post, Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { runProcess } from "../support/child-process.ts";

const listening = `
  const server = require("node:net").createServer();
  server.listen(0, "127.0.0.1", 1, () => console.log(JSON.stringify({ port: server.address().port })));
`;

/** A port that no connection comes about on: who listens there is stopped, and its queue is full. */
async function openFullPort(): Promise<number> {
  const stopped = runProcess(process.execPath, ["-e", listening]);
  onTestFinished(async () => void (await stopped.stop("SIGKILL")));
  const { port } = (await stopped.jsonLine((line) => "port" in line)) as { port: number };
  stopped.child.kill("SIGSTOP");
  const sockets: Socket[] = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => {}));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  // The queue takes two of them.
  await Promise.race(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  return port;
}

// Elsewhere a full queue refuses instead.
describe.runIf(process.platform === "linux")("the connect_timeout of a service", () => {
  it("is met by a target that does not take connections: 504, counted, and said so", async () => {
    const rig = await Rig.open({ ports: [await openFullPort()], service: { connectTimeoutMs: 150, retries: 0 } });
    onTestFinished(() => rig.close());
    const { head } = await rig.ask(get("/"));
    expect(head).toMatch(/^HTTP\/1\.1 504 .*Proxy-Status: penstock; error=connection_timeout/s);
    expect([rig.counter("limit_connect_time"), rig.counter("connect_failures")]).toEqual([1, 1]);
  });

  it("sends any method elsewhere: no byte of it was sent", async () => {
    const target = await openBackend((request, socket) => void socket.write(answerText(request.body)));
    onTestFinished(() => target.close());
    const ports = [await openFullPort(), target.port];
    const rig = await Rig.open({ ports, service: { connectTimeoutMs: 150 } });
    onTestFinished(() => rig.close());
    for (let i = 0; i < 3; i++) expect((await rig.ask(post("/", `body ${i}`))).body).toBe(`body ${i}`);
    expect(target.requests).toHaveLength(3);
    expect(rig.counter("limit_connect_time")).toBe(1);
  });
});
