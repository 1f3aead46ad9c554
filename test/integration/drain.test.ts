import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import { startConnectionLoad } from "../support/connection-load.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

const inFlightCount = 100;
const idleCount = 20;

/** A target that answers `/held` when it is released, and everything else at once. */
async function startHoldingTarget() {
  const held: ServerResponse[] = [];
  let onHeld = () => {};
  const server = createServer((request, response) => {
    if (!request.url?.startsWith("/held")) {
      response.end("at once");
      return;
    }
    held.push(response);
    onHeld();
  });
  server.on("upgrade", (_request, socket) => {
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async holds(count: number) {
      while (held.length < count) await new Promise<void>((resolve) => (onHeld = resolve));
    },
    release() {
      for (const response of held) response.end("released");
    },
  };
}

/** A client that keeps its connection; `closed` says what it had received when the connection ended. */
function startClient(port: number, request: string) {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  let wake = () => {};
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    wake();
  });
  if (request !== "") socket.write(request);
  const isConnected = new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("close", () => resolve(false));
  });
  const closed = new Promise<{ text: string; isClean: boolean }>((resolve) => {
    let isClean = false;
    socket.on("end", () => (isClean = true));
    socket.on("error", () => {});
    socket.on("close", () => resolve({ text, isClean }));
  });
  onTestFinished(() => void socket.destroy());
  return {
    closed,
    isConnected,
    send: (text: string) => void socket.write(text),
    async received(pattern: RegExp) {
      while (!pattern.test(text)) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

const get = (path: string, lines = "") => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`;
const upgrade =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

describe("row 24: SIGTERM", () => {
  it.each(["worker", "main"])(
    "loses none of 100 requests under way, accepting in %s, and ends with 0",
    async (accept) => {
      const controlPlane = await startControlPlane();
      const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { PENSTOCK_ACCEPT: accept } });
      const target = await startHoldingTarget();
      await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/", targets: [target.address] });
      const port = dataPlane.proxyPort;
      const inFlight = Array.from({ length: inFlightCount }, () => startClient(port, get("/held")));
      const idle = Array.from({ length: idleCount }, () => startClient(port, get("/")));
      await target.holds(inFlightCount);
      await Promise.all(idle.map((client) => client.received(/at once/)));

      const status = (await (await fetch(`${dataPlane.statusUrl}/status`)).json()) as { attempts_under_way: number };
      expect(status.attempts_under_way).toBe(inFlightCount);
      const readyUrl = `${dataPlane.statusUrl}/status/ready`;
      expect((await fetch(readyUrl)).status).toBe(200);
      dataPlane.child.kill("SIGTERM");
      await dataPlane.jsonLine((line) => line["msg"] === "draining");
      expect((await fetch(readyUrl)).status).toBe(503);
      // Whoever has not heard of it yet is still served, and told to go.
      const late = await getFresh(port, "/");
      expect(late.text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*at once/is);
      // Idle clients are let go while requests are still under way.
      for (const client of idle) expect(await client.closed).toMatchObject({ isClean: true });
      target.release();
      for (const client of inFlight) {
        const { text, isClean } = await client.closed;
        expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*released/is);
        expect(isClean).toBe(true);
      }
      expect(await dataPlane.ended).toBe(0);
    },
  );

  it.each(["worker", "main"])(
    "finishes what it has taken where connections never pause, accepting in %s",
    async (accept) => {
      const controlPlane = await startControlPlane();
      const env = { PENSTOCK_ACCEPT: accept, PENSTOCK_DRAIN_TIMEOUT: "4s" };
      const dataPlane = await startDataPlane(controlPlane.syncAddress, { env });
      const target = await startEchoTargetProcess("t1");
      const targets = [`127.0.0.1:${target.port}`];
      await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/d", targets });
      const path = "/d?delay=300";
      const load = startConnectionLoad({ port: dataPlane.proxyPort, path, requestsPerSecond: 50, keptCount: null });
      dataPlane.child.kill("SIGTERM");
      expect(await dataPlane.ended).toBe(0);
      const { ok, failures } = await load.stop();
      // Who came when nobody listened any more was refused, or reset in the queue. Nobody was taken and not answered.
      expect(Object.keys(failures).filter((kind) => !["refused", "reset"].includes(kind))).toEqual([]);
      expect(ok).toBeGreaterThan(0);
    },
  );

  it.each(["worker", "main"])(
    "answers who has connected before and asks when nobody listens any more, accepting in %s",
    async (accept) => {
      const controlPlane = await startControlPlane();
      const env = { PENSTOCK_ACCEPT: accept, PENSTOCK_DRAIN_TIMEOUT: "6s" };
      const dataPlane = await startDataPlane(controlPlane.syncAddress, { env });
      const target = await startHoldingTarget();
      await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/", targets: [target.address] });
      dataPlane.child.kill("SIGTERM");
      await dataPlane.jsonLine((line) => line["msg"] === "draining");
      const clients: ReturnType<typeof startClient>[] = [];
      // Connections that never pause, each silent for now.
      for (;;) {
        const client = startClient(dataPlane.proxyPort, "");
        if (!(await client.isConnected)) break;
        clients.push(client);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      // The very last may have waited, accepted by nobody, when the listening socket closed.
      const late = clients[Math.floor(clients.length / 2)]!;
      late.send(get("/"));
      expect((await late.closed).text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*at once/is);
      expect(await dataPlane.ended).toBe(0);
    },
  );

  it("cuts what is still under way when the drain time is over, tunnels too, and ends with 0", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { PENSTOCK_DRAIN_TIMEOUT: "1500ms" } });
    const target = await startHoldingTarget();
    await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/", targets: [target.address] });
    const held = startClient(dataPlane.proxyPort, get("/held"));
    const tunnel = startClient(dataPlane.proxyPort, get("/socket", upgrade));
    await target.holds(1);
    await tunnel.received(/ 101 /);
    dataPlane.child.kill("SIGTERM");
    expect((await held.closed).text).toBe("");
    await tunnel.closed;
    expect(await dataPlane.ended).toBe(0);
  });
});
