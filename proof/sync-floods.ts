/**
 * S7: floods of HTTP/2 frames, each once, by a client that never rests: of strangers at a sync port with TLS, at the admin
 * port, and at a sync port without TLS. Each is cut off, others wait little and lose no change, and the process does not
 * grow.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { admin, adminOk } from "../test/support/admin-client.ts";
import { type Flood, floodUntilCutOff, http2Floods, plainTo, tlsTo } from "../test/support/http2-floods.ts";
import { MeasuredControlPlane } from "../test/support/measured-control-plane.ts";
import { p99, probe, residentKib, startProofDataPlane } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const probeEveryMs = 10;
/** For a process that has just started to have what it needs. */
const warmUpMs = 5_000;
/** After each flood, for what it left behind. */
const restMs = 1_000;
const framesAllowed = 1_000;
/** Of a list that somebody asks for and does not take: some 300 KB. */
const serviceCount = 100;
const serviceBytes = 3_000;
const msAllowed = 1_000;

interface Withstood {
  /** Of the frames or of the time that a flood may take, whichever is the smaller share. */
  readonly cutOffShare: number;
  readonly latenciesMs: readonly number[];
  /** Whether a change that was made meanwhile came to the node. */
  readonly isNodeTold: boolean;
}

/** A port of a control plane, and what is sent there. */
interface Port {
  readonly name: string;
  /** host:port */
  readonly address: string;
  readonly path: string;
  readonly connect: (port: number) => Socket;
}

/** The times of those that would have asked while a probe waited for its answer, beside its own. */
const everybodysMs = (latenciesMs: readonly number[]): readonly number[] =>
  latenciesMs.flatMap((ms) => Array.from({ length: Math.ceil(ms / probeEveryMs) }, (_, i) => ms - i * probeEveryMs));

async function withstand(adminUrl: string, { address, connect }: Port, flood: Flood): Promise<Withstood> {
  const probing = probe(`${adminUrl}/status`, probeEveryMs);
  const port = Number(address.split(":").at(-1));
  const flooding = floodUntilCutOff(connect(port), flood);
  const change = await admin(adminUrl, "POST", "/upstreams?wait=applied&timeout=10s", {
    name: `${flood.name.replaceAll(" ", "-")}-at-${port}`,
  });
  const { frameCount, afterMs } = await flooding;
  await sleep(restMs);
  return {
    cutOffShare: Math.min(frameCount / framesAllowed, afterMs / msAllowed),
    latenciesMs: everybodysMs(await probing.stop()),
    isNodeTold: change.headers.get("penstock-applied") === "1/1",
  };
}

/** An ordinary call: what serves calls is loaded with the first one. */
async function call({ address, path, connect: open }: Port): Promise<void> {
  const session = connect(`http://${address}`, { createConnection: () => open(Number(address.split(":").at(-1))) });
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request(headers);
  stream.resume();
  stream.end();
  await once(stream, "close");
  session.close();
}

function figuresOf(port: Port, floods: readonly Withstood[], grownKib: number): readonly Figure[] {
  const at = `${port.name}, ${floods.length} floods`;
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

/** A control plane and a node of it that has what it needs; without TLS where `tls` is "off". */
async function startPair(tls: "on" | "off") {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const controlPlane = await MeasuredControlPlane.start(join(folder, "control"), { PENSTOCK_SYNC_TLS: tls });
  const { adminUrl, syncAddress } = controlPlane;
  const env: Record<string, string> = {
    PENSTOCK_STATE_DIR: join(folder, "node"),
    PENSTOCK_CONTROL_PLANE: syncAddress,
  };
  if (tls === "on")
    env["PENSTOCK_JOIN_TOKEN"] = (await adminOk(adminUrl, "POST", "/node-tokens", {})).body["join_token"];
  const { process: node } = await startProofDataPlane(env);
  await node.jsonLine((line) => line["msg"] === "applied");
  const warming = probe(`${adminUrl}/status`, probeEveryMs);
  await adminOk(adminUrl, "POST", "/upstreams?wait=applied&timeout=10s", { name: "first" });
  for (let i = 0; i < serviceCount; i++)
    await adminOk(adminUrl, "POST", "/services", {
      name: `s${i}`,
      host: "a.example",
      path: `/${"x".repeat(serviceBytes)}`,
    });
  await sleep(warmUpMs);
  await warming.stop();
  const stop = async () => {
    await node.stop("SIGKILL");
    await controlPlane.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return { controlPlane, stop };
}

async function flood(controlPlane: MeasuredControlPlane, port: Port, progress: (line: string) => void) {
  await call(port);
  const beforeKib = residentKib(controlPlane.pid);
  controlPlane.forgetPeak();
  const withstood: Withstood[] = [];
  for (const one of http2Floods(port.path)) {
    const { cutOffShare, latenciesMs, isNodeTold } = await withstand(controlPlane.adminUrl, port, one);
    const p99Ms = p99(latenciesMs).toFixed(1);
    progress(`${port.name}, ${one.name}: cut off after ${cutOffShare.toFixed(3)}, p99 of others ${p99Ms} ms`);
    withstood.push({ cutOffShare, latenciesMs, isNodeTold });
  }
  return figuresOf(port, withstood, controlPlane.peakBytes() / 1_024 - beforeKib);
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const tls of ["on", "off"] as const) {
    const { controlPlane, stop } = await startPair(tls);
    const sync = { address: controlPlane.syncAddress, path: "/penstock.sync.v1.SyncAPI/Connect" };
    const admins = {
      ...{ address: new URL(controlPlane.adminUrl).host, path: "/penstock.admin.v1.ServicesAPI/ListServices" },
      ...{ name: "admin port", connect: plainTo },
    };
    const ports: readonly Port[] =
      tls === "on"
        ? [{ ...sync, name: "sync port, TLS", connect: tlsTo }, admins]
        : [{ ...sync, name: "sync port, no TLS", connect: plainTo }];
    try {
      for (const port of ports) figures.push(...(await flood(controlPlane, port, progress)));
    } finally {
      await stop();
    }
  }
  return figures;
}
