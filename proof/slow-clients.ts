/** Rows 43 and S8: 500 clients each that send a head, send a body or take an answer at a byte a second, with stock options. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { p99, probe, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const clientCount = 500;
const giveUpMs = 60_000;

/** One slow client. @returns how long it took until it was closed */
function slowClient(port: number, first: string, drip: string | null): Promise<number> {
  return new Promise((resolve) => {
    const startedAtMs = performance.now();
    const socket = connect({ port, host: "127.0.0.1" });
    let reading: NodeJS.Timeout | undefined;
    const dripping = drip === null ? undefined : setInterval(() => socket.write(drip), 1_000);
    const giveUp = setTimeout(() => socket.destroy(), giveUpMs);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(dripping);
      clearInterval(reading);
      clearTimeout(giveUp);
      resolve(performance.now() - startedAtMs);
    });
    socket.write(first);
    if (drip !== null) socket.resume();
    else reading = readSlowly(socket);
  });
}

/** Takes what the kernel has read for it once, then a byte a second; the writes of a test find out that it is closed. */
function readSlowly(socket: Socket): NodeJS.Timeout {
  socket.pause();
  return setInterval(() => {
    socket.read(1);
    // A paused socket learns of a reset only when it is used.
    socket.write("X");
  }, 1_000);
}

const piece = Buffer.alloc(65_536, "x");

/** A target whose answers never end and cost it little: what a client does not take, it does not make. */
async function openEndlessTarget() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    const write = () => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on("drain", write);
    socket.once("data", () => {
      socket.write("HTTP/1.0 200 OK\r\n\r\n");
      write();
    });
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve));
  return { port: (server.address() as AddressInfo).port, sockets, close: () => server.close() };
}

const kinds = [
  ["head", "GET /p HTTP/1.1\r\nHost: a\r\nX: ", "y"],
  ["body", "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "y"],
  ["answer", "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n", null],
] as const;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const [target, endless] = [await startEchoTarget("t1", 0), await openEndlessTarget()];
  const planes = await startProofPlanes([target.port]);
  const body = { name: "endless", url: `http://127.0.0.1:${endless.port}` };
  await adminOk(planes.adminUrl, "POST", "/services", body);
  await adminOk(planes.adminUrl, "POST", "/services/endless/routes?wait=applied", { paths: ["/endless"] });
  const url = `http://127.0.0.1:${planes.proxyPort}/p`;
  const figures: Figure[] = [];
  try {
    const alone = probe(url, 5);
    await sleep(10_000);
    const aloneMs = p99(await alone.stop());
    for (const [kind, first, drip] of kinds) {
      progress(`${clientCount} clients with a slow ${kind}`);
      const slow = Array.from({ length: clientCount }, () => slowClient(planes.proxyPort, first, drip));
      // Until they are all stuck, 500 clients of the last kind take megabytes each, as quick ones would.
      await sleep(4_000);
      const beside = probe(url, 5);
      const closedAfterMs = await Promise.all(slow);
      const besideMs = p99(await beside.stop());
      figures.push(
        {
          name: `slow ${kind}: closed after at most`,
          value: Math.round(Math.max(...closedAfterMs) / 100) / 10,
          unit: "s",
          atMost: 15,
        },
        {
          name: `slow ${kind}: p99 of others`,
          value: Math.round((besideMs / aloneMs) * 100) / 100,
          unit: "x of alone",
          atMost: 2,
        },
      );
    }
    return figures;
  } finally {
    await planes.stop();
    target.close();
    endless.close();
  }
}
