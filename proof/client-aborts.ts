/**
 * Row 42: 10,000 clients that go away in the midst of their body or of their answer. Their requests are ended at the
 * target within 100 ms, nothing is left over, and no target is blamed.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { p99, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const abortCount = 10_000;
const batchSize = 100;

/** A target that never ends an answer. */
async function openTarget() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", (bytes) => {
      if (!bytes.toString("latin1").startsWith("GET")) return;
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
      const going = setInterval(() => socket.write("5\r\nhello\r\n"), 10);
      socket.on("close", () => clearInterval(going));
    });
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, sockets, close: () => server.close() };
}

function startClient(port: number, text: string): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  socket.write(text);
  return socket;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(1);
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const target = await openTarget();
  const planes = await startProofPlanes([target.port]);
  const endedAfterMs: number[] = [];
  try {
    for (let done = 0; done < abortCount; done += batchSize) {
      const isBody = (done / batchSize) % 2 === 0;
      const text = isBody
        ? "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
        : "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";
      const clients = Array.from({ length: batchSize }, () => startClient(planes.proxyPort, text));
      await until(() => target.sockets.size === batchSize);
      // Answers are under way by then, too.
      if (!isBody) await sleep(30);
      const leftAtMs = performance.now();
      for (const client of clients) client.destroy();
      await until(() => target.sockets.size === 0);
      endedAfterMs.push(performance.now() - leftAtMs);
      if (done % 2_000 === 0) progress(`${done} of ${abortCount}`);
    }
    await sleep(500);
    const counted = await planes.counters();
    const blamed = ["attempts_lost", "connect_failures", "retries", "ejections", "defects"];
    return [
      {
        name: "requests of 100 clients ended at the target, p99",
        value: Math.round(p99(endedAfterMs)),
        unit: "ms",
        atMost: 100,
      },
      { name: "connections left of clients", value: counted["connections_active"]!, unit: "connections", atMost: 0 },
      { name: "connections left at the target", value: target.sockets.size, unit: "connections", atMost: 0 },
      {
        name: "aborts that were not counted as such",
        value: Math.abs(abortCount - counted["client_aborts"]!),
        unit: "requests",
        atMost: 0,
      },
      {
        name: "attempts that were held against the target",
        value: blamed.reduce((sum, name) => sum + counted[name]!, 0),
        unit: "attempts",
        atMost: 0,
      },
    ];
  } finally {
    await planes.stop();
    target.close();
  }
}
