/**
 * Bodies of more than 4 GiB, down and up, with a known length and in chunks, through one data plane at once: first as
 * fast as they go, then with a receiver that takes them in bursts with pauses, and a stretch of them slowly. Every byte
 * is compared, and what the data plane has in memory is looked at all the while. PENSTOCK_TRANSFER_MIB makes them shorter.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openTransferTarget, type Pace, runTransfer, Transfer } from "../test/support/large-transfer.ts";
import { residentKib, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const mib = 1_048_576;
/** Past 2^32, and not a whole number of any buffer. */
const totalBytes = Number(process.env["PENSTOCK_TRANSFER_MIB"] ?? 4_096) * mib + 12_345;
const sampleEveryMs = 100;
const settleMs = 5_000;
/** What the data plane may hold of one body: it must show beside what the sockets hold. */
const heldMaxMib = 8;

const slow: Pace = {
  burstBytes: 128 * mib,
  pausesMs: [1_500, 1_500, 1_500, 6_000],
  throttledFrom: Math.floor(totalBytes / 2),
  throttledBytes: 64 * mib,
  throttledBytesPerSecond: 3 * mib,
};

interface Round {
  readonly wrongBytes: number;
  readonly residentMib: number;
  readonly underWayMib: number;
}

/** The most that the process has had in memory since it started, as the kernel keeps it. */
function residentPeakKib(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** What Linux may hold of one body: a socket to send from and one to receive with, on each of the two hops. */
function socketsMaxMib(): number {
  const most = (name: string) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8").trim().split(/\s+/).at(-1));
  return Math.round((2 * (most("tcp_rmem") + most("tcp_wmem"))) / mib);
}

function fourTransfers(pace: Pace | null): Transfer[] {
  return (["download", "upload"] as const).flatMap((direction) =>
    (["length", "chunked"] as const).map((framing) => new Transfer({ direction, framing, totalBytes, pace })),
  );
}

async function runRound(pace: Pace | null, progress: (line: string) => void): Promise<Round & { idleMib: number }> {
  const transfers = fourTransfers(pace);
  const target = await openTransferTarget(transfers);
  const planes = await startProofPlanes([target.port], { PENSTOCK_WORKERS: "2" });
  try {
    await sleep(settleMs);
    const idleKib = residentKib(planes.dataPlanePid);
    let highestKib = idleKib;
    let underWayBytes = 0;
    const sampling = setInterval(() => {
      highestKib = Math.max(highestKib, residentKib(planes.dataPlanePid));
      for (const transfer of transfers) underWayBytes = Math.max(underWayBytes, transfer.underWayBytes);
    }, sampleEveryMs);
    const telling = setInterval(() => {
      const done = transfers.map(({ check }) => `${Math.round((check.received / totalBytes) * 100)} %`);
      progress(`${done.join(", ")}; ${Math.round((highestKib - idleKib) / 1024)} MiB above idle at most`);
    }, 30_000);
    try {
      await Promise.all(transfers.map((transfer, i) => runTransfer(transfer, planes.proxyPort, `/p/${i}`)));
    } finally {
      clearInterval(sampling);
      clearInterval(telling);
    }
    // A peak between two looks shows in the kernel's own mark.
    highestKib = Math.max(highestKib, residentPeakKib(planes.dataPlanePid));
    for (const { name, elapsedMs } of transfers) progress(`${name}: ${Math.round(elapsedMs / 1_000)} s`);
    return {
      wrongBytes: transfers.reduce((sum, { wrongBytes }) => sum + wrongBytes, 0),
      residentMib: Math.round((highestKib - idleKib) / 1024),
      underWayMib: Math.round((underWayBytes / mib) * 10) / 10,
      idleMib: Math.round(idleKib / 1024),
    };
  } finally {
    await planes.stop();
    target.close();
  }
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const [name, pace] of [
    ["fast receivers", null],
    ["slow receivers", slow],
  ] as const) {
    progress(`${name}: four transfers of ${totalBytes} bytes at once`);
    const round = await runRound(pace, progress);
    progress(`the data plane idles at ${round.idleMib} MiB`);
    figures.push(
      { name: `${name}: wrong, missing or surplus bytes`, value: round.wrongBytes, unit: "bytes", atMost: 0 },
      { name: `${name}: memory above idle, at most`, value: round.residentMib, unit: "MiB", atMost: 150 },
      {
        name: `${name}: sent and not yet received by one transfer, at most`,
        value: round.underWayMib,
        unit: "MiB",
        atMost: socketsMaxMib() + heldMaxMib,
      },
    );
  }
  return figures;
}
