/**
 * Row 44: what 5,000 clients cost that keep their connection and ask for nothing, and what the others notice of them.
 * Memory is read when every thread has collected its garbage, and few connections were there before: what more of them
 * would have left behind is memory that the 5,000 would then have taken unseen.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { GarbageCollector, inspectable } from "../test/support/garbage-collector.ts";
import { p99, probe, residentKib, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const idleCount = 5_000;
/** Enough for what code and pools take once. */
const warmUpCount = 200;
const settleMs = 3_000;
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
  const planes = await startProofPlanes([target.port], { PENSTOCK_KEEP_ALIVE_TIMEOUT: "10m", ...inspectable });
  const garbage = await GarbageCollector.open(planes.dataPlane);
  const residentNowKib = async () => {
    if ((await garbage.collect()) < 2) throw new Error("no worker thread could be told to collect its garbage");
    await sleep(settleMs);
    return residentKib(planes.dataPlanePid);
  };
  const url = `http://127.0.0.1:${planes.proxyPort}/p`;
  let idle: readonly Socket[] = [];
  try {
    for (const socket of await openIdle(planes.proxyPort, warmUpCount)) socket.destroy();
    progress("without idle connections");
    const aloneMs = await probeFor(url);
    const beforeKib = await residentNowKib();
    idle = await openIdle(planes.proxyPort, idleCount);
    const afterKib = await residentNowKib();
    progress(`with ${idleCount}: ${beforeKib} KiB before, ${afterKib} KiB beside them`);
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
    garbage.close();
    await planes.stop();
    target.close();
  }
}
