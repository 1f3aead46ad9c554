/** Row 44: what 5,000 clients cost that keep their connection and ask for nothing, and what the others notice of them. */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { p99, probe, residentKib, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const idleCount = 5_000;
const probeSeconds = 10;

async function openIdle(port: number, count: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => {});
    await new Promise<void>((resolve) => {
      // Each has been served once, as a client's kept connection has.
      socket.once("data", () => resolve());
      socket.write("GET /p HTTP/1.1\r\nHost: a\r\n\r\n");
    });
  }
  return sockets;
}

async function probeFor(url: string): Promise<number> {
  const probing = probe(url, 2);
  await sleep(probeSeconds * 1_000);
  return p99(await probing.stop());
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const target = await startEchoTarget("t1", 0);
  const planes = await startProofPlanes([target.port], { PENSTOCK_KEEP_ALIVE_TIMEOUT: "10m" });
  const url = `http://127.0.0.1:${planes.proxyPort}/p`;
  let idle: readonly Socket[] = [];
  try {
    // As many as will idle, so that what code and pools take once is there before.
    for (const socket of await openIdle(planes.proxyPort, idleCount)) socket.destroy();
    await sleep(3_000);
    progress("without idle connections");
    const aloneMs = await probeFor(url);
    const beforeKib = residentKib(planes.dataPlanePid);
    idle = await openIdle(planes.proxyPort, idleCount);
    await sleep(3_000);
    const afterKib = residentKib(planes.dataPlanePid);
    progress(`with ${idleCount}`);
    const besideMs = await probeFor(url);
    const lost = idle.filter((socket) => socket.closed).length;
    return [
      {
        name: "memory of an idle connection",
        value: Math.round(((afterKib - beforeKib) / idleCount) * 10) / 10,
        unit: "KiB",
        atMost: 10,
      },
      {
        name: "p99 of others beside them",
        value: Math.round((besideMs / aloneMs) * 100) / 100,
        unit: "x of alone",
        atMost: 1.1,
      },
      { name: "idle connections that were lost", value: lost, unit: "connections", atMost: 0 },
    ];
  } finally {
    for (const socket of idle) socket.destroy();
    await planes.stop();
    target.close();
  }
}
