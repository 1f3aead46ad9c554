/**
 * S7: floods of HTTP/2 frames at the sync port and the admin port of one control plane, each once, by a client that never
 * rests. Each is cut off, others lose no change, and the process does not grow. Their requests wait for what one read of
 * the flood brings, up to 2 MB, once or twice.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { admin } from "../test/support/admin-client.ts";
import { type Flood, floodUntilCutOff, http2Floods } from "../test/support/http2-floods.ts";
import { MeasuredControlPlane } from "../test/support/measured-control-plane.ts";
import { p99, probe, residentKib, startProofDataPlane } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const probeEveryMs = 10;
/** For a process that has just started to have what it needs. */
const warmUpMs = 5_000;
/** After each flood, for what it left behind. */
const restMs = 1_000;
const framesAllowed = 1_000;
const msAllowed = 1_000;

interface Withstood {
  /** Of the frames or of the time that a flood may take, whichever is the smaller share. */
  readonly cutOffShare: number;
  readonly latenciesMs: readonly number[];
  /** Whether a change that was made meanwhile came to the node. */
  readonly isNodeTold: boolean;
}

async function withstand(adminUrl: string, port: number, flood: Flood): Promise<Withstood> {
  const probing = probe(`${adminUrl}/status`, probeEveryMs);
  const flooding = floodUntilCutOff(port, flood);
  const change = await admin(adminUrl, "POST", "/upstreams?wait=applied&timeout=10s", {
    name: `${flood.name.replaceAll(" ", "-")}-at-${port}`,
  });
  const { frameCount, afterMs } = await flooding;
  await sleep(restMs);
  return {
    cutOffShare: Math.min(frameCount / framesAllowed, afterMs / msAllowed),
    latenciesMs: await probing.stop(),
    isNodeTold: change.headers.get("penstock-applied") === "1/1",
  };
}

/** An ordinary call: what serves calls is loaded with the first one. */
async function call(address: string, path: string): Promise<void> {
  const session = connect(`http://${address}`);
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request(headers);
  stream.resume();
  stream.end();
  await once(stream, "close");
  session.close();
}

function figuresOf(at: string, floods: readonly Withstood[], grownKib: number): readonly Figure[] {
  const worst = Math.max(...floods.map(({ cutOffShare }) => cutOffShare));
  const latenciesMs = floods.flatMap((flood) => flood.latenciesMs);
  const longest = Math.max(...floods.map((flood) => p99(flood.latenciesMs)));
  const untold = floods.filter(({ isNodeTold }) => !isNodeTold).length;
  return [
    {
      name: `${at}: cut off after at most, of 1,000 frames or 1 s`,
      value: Math.round(worst * 1_000) / 1_000,
      unit: "",
      atMost: 1,
    },
    // A wait is one sample of many: over all floods it hardly shows.
    { name: `${at}: p99 of others' requests`, value: Math.round(p99(latenciesMs) * 10) / 10, unit: "ms", atMost: null },
    {
      name: `${at}: p99 of others' requests, beside the flood that costs them most`,
      value: Math.round(longest * 10) / 10,
      unit: "ms",
      atMost: 100,
    },
    { name: `${at}: changes that a node was not told of`, value: untold, unit: "changes", atMost: 0 },
    {
      name: `${at}: memory that the process takes more`,
      value: Math.round(grownKib / 102.4) / 10,
      unit: "MiB",
      atMost: 50,
    },
  ];
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const controlPlane = await MeasuredControlPlane.start(join(folder, "control"));
  const { adminUrl, syncAddress, pid } = controlPlane;
  const env = { PENSTOCK_STATE_DIR: join(folder, "node"), PENSTOCK_CONTROL_PLANE: syncAddress };
  const { process: node } = await startProofDataPlane(env);
  const figures: Figure[] = [];
  try {
    await node.jsonLine((line) => line["msg"] === "applied");
    const warming = probe(`${adminUrl}/status`, probeEveryMs);
    await sleep(warmUpMs);
    await warming.stop();
    const ports = [
      { name: "sync port", address: syncAddress, path: "/penstock.sync.v1.SyncAPI/Connect" },
      { name: "admin port", address: new URL(adminUrl).host, path: "/penstock.admin.v1.ServicesAPI/ListServices" },
    ];
    for (const { name, address, path } of ports) {
      await call(address, path);
      const beforeKib = residentKib(pid);
      controlPlane.forgetPeak();
      const withstood: Withstood[] = [];
      for (const flood of http2Floods(path)) {
        const one = await withstand(adminUrl, Number(address.split(":").at(-1)), flood);
        const [share, p99Ms] = [one.cutOffShare.toFixed(3), p99(one.latenciesMs).toFixed(1)];
        progress(`${name}, ${flood.name}: cut off after ${share}, p99 of others ${p99Ms} ms`);
        withstood.push(one);
      }
      const at = `${name}, ${withstood.length} floods`;
      figures.push(...figuresOf(at, withstood, controlPlane.peakBytes() / 1_024 - beforeKib));
    }
    return figures;
  } finally {
    await node.stop("SIGKILL");
    await controlPlane.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
