/**
 * 1,000 certificates on a data plane with two workers, beside one: what starting takes, what each worker holds in
 * memory once every certificate was asked for, and what replacing one among them costs, also in time in which a thread
 * did nothing else.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { proportionalMb } from "../bench/process-tree.ts";
import { adminOk } from "../test/support/admin-client.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../test/support/certificates.ts";
import type { Stall } from "../test/support/loop-stall-preload.ts";
import { type ProofControlPlane, startProofControlPlane, startProofDataPlane } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const manyCount = 1_000;
const workerCount = 2;
const rotationCount = 20;
const rotateEveryMs = 300;
/** By then what applying took has been given back. */
const settleMs = 11_000;
/** Which worker takes a connection is chance: with so many for each name, nearly all have seen nearly all. */
const visitCount = 3 * workerCount;
const visitorsAtOnce = 20;
const applied = "?wait=applied&timeout=60s";
const preload = fileURLToPath(new URL("../test/support/loop-stall-preload.ts", import.meta.url));
const authority = await makeAuthority("Proof CA");

const nameOf = (index: number): string => `n${index}.test`;

/** Resolves when a connection under the name was made with its certificate, and closed. */
function shakeHands(port: number, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, servername: name, ca: authority.certPem });
    socket.once("secureConnect", () => socket.end());
    socket.resume().once("close", () => resolve());
    socket.once("error", reject);
  });
}

async function put(plane: ProofControlPlane, index: number, query: string): Promise<TestCertificate> {
  const made = await makeCertificate({ names: [nameOf(index)], issuer: authority });
  const body = { cert: made.chainPem, key: made.keyPem };
  await adminOk(plane.adminUrl, "PUT", `/certificates/${nameOf(index)}${query}`, body);
  return made;
}

interface Run {
  readonly folder: string;
  readonly plane: ProofControlPlane;
  readonly certificateCount: number;
}

/** A data plane that has never met the control plane, until it is ready. With `stalls` its threads tell of them. */
async function startNode({ plane, folder }: Run, name: string, stalls: string | null = null) {
  const startedAtMs = performance.now();
  const preloaded: Record<string, string> =
    stalls === null ? {} : { NODE_OPTIONS: `--import=${preload}`, PENSTOCK_STALL_FOLDER: stalls };
  const node = await startProofDataPlane({
    PENSTOCK_STATE_DIR: join(folder, name),
    PENSTOCK_CONTROL_PLANE: plane.syncAddress,
    PENSTOCK_WORKERS: String(workerCount),
    PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0",
    ...preloaded,
  });
  while (!(await fetch(`${node.statusUrl}/status/ready`)).ok) await sleep(5);
  return { ...node, readyMs: performance.now() - startedAtMs };
}

/** Time to ready from nothing and from disk, and memory before and after many handshakes under every certificate. */
async function measureStart(run: Run) {
  const first = await startNode(run, "node");
  await sleep(settleMs);
  const idleMb = proportionalMb(first.process.pid);
  // As many handshakes with one certificate as with many: what they leave behind is no matter of certificates.
  for (let i = 0; i < visitCount * manyCount; i += visitorsAtOnce) {
    const names = Array.from({ length: visitorsAtOnce }, (_, j) => nameOf((i + j) % run.certificateCount));
    await Promise.all(names.map((name) => shakeHands(first.proxyTlsPort, name)));
  }
  await sleep(settleMs);
  const usedMb = proportionalMb(first.process.pid);
  if (first.process.child.exitCode !== null || usedMb === 0) {
    throw new Error(`the data plane ended: ${await first.process.ended}\n${first.process.lines.join("\n")}`);
  }
  await first.process.stop();
  const again = await startNode(run, "node");
  await again.process.stop();
  return { idleMb, usedMb, readyMs: first.readyMs, readyAgainMs: again.readyMs };
}

function stallsOf(folder: string): { main: Stall[]; workers: Stall[] } {
  const read = (file: string) =>
    readFileSync(join(folder, file), "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Stall);
  const files = readdirSync(folder);
  return {
    main: files.filter((file) => file === "main").flatMap(read),
    workers: files.filter((file) => file !== "main").flatMap(read),
  };
}

const longest = (stalls: readonly Stall[], by: "ms" | "cpuMs", fromMs: number): number =>
  Math.max(0, ...stalls.filter(({ endedAtMs }) => endedAtMs >= fromMs).map((stall) => Math.min(stall.ms, stall[by])));

/** Replaces one certificate among all, again and again, as each worker serves some of them. */
async function measureRotations(run: Run) {
  const stallFolder = mkdtempSync(join(run.folder, "stalls-"));
  const node = await startNode(run, "watched", stallFolder);
  for (let i = 0; i < Math.min(run.certificateCount, 100); i++) await shakeHands(node.proxyTlsPort, nameOf(i));
  await sleep(2_000);
  const startStalls = stallsOf(stallFolder);
  const fromMs = Date.now();
  const tookMs: number[] = [];
  for (let i = 0; i < rotationCount; i++) {
    const startedAtMs = performance.now();
    await put(run.plane, i % run.certificateCount, applied);
    tookMs.push(performance.now() - startedAtMs);
    await sleep(rotateEveryMs);
  }
  const { main, workers } = stallsOf(stallFolder);
  await node.process.stop();
  tookMs.sort((a, b) => a - b);
  return {
    medianMs: tookMs[tookMs.length >> 1]!,
    longestMs: tookMs.at(-1)!,
    worker: { ms: longest(workers, "ms", fromMs), cpuMs: longest(workers, "cpuMs", fromMs) },
    main: { ms: longest(main, "ms", fromMs), cpuMs: longest(main, "cpuMs", fromMs) },
    mainAtStartCpuMs: longest(startStalls.main, "cpuMs", 0),
    workerAtStartCpuMs: longest(startStalls.workers, "cpuMs", 0),
  };
}

async function measure(certificateCount: number, progress: (line: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const plane = await startProofControlPlane(folder);
  const run = { folder, plane, certificateCount };
  try {
    const startedAtMs = performance.now();
    for (let i = 0; i < certificateCount; i += 10) {
      const count = Math.min(10, certificateCount - i);
      await Promise.all(Array.from({ length: count }, (_, j) => put(plane, i + j, "?wait=none")));
    }
    progress(`${certificateCount} certificates written in ${Math.round(performance.now() - startedAtMs)} ms`);
    const start = await measureStart(run);
    progress(JSON.stringify(start));
    const rotations = await measureRotations(run);
    progress(JSON.stringify(rotations));
    return { start, rotations };
  } finally {
    await plane.process.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const one = await measure(1, progress);
  const many = await measure(manyCount, progress);
  const figure = (name: string, value: number, unit: string, atMost: number | null): Figure => {
    return { name, value: Math.round(value * 10) / 10, unit, atMost };
  };
  const perWorker = (mb: number) => mb / workerCount;
  const { start, rotations } = many;
  return [
    figure("ready from nothing", start.readyMs, "ms", null),
    figure("the same with one certificate", one.start.readyMs, "ms", null),
    figure("ready from the snapshot on disk", start.readyAgainMs, "ms", null),
    figure("the same with one certificate", one.start.readyAgainMs, "ms", null),
    figure(
      "memory per worker more than with one, none asked for",
      perWorker(start.idleMb - one.start.idleMb),
      "MB",
      30,
    ),
    figure("the same when every certificate was asked for", perWorker(start.usedMb - one.start.usedMb), "MB", 30),
    figure("one replaced, until every worker serves it: median", rotations.medianMs, "ms", null),
    figure("the same, longest", rotations.longestMs, "ms", null),
    figure("the same with one certificate: median", one.rotations.medianMs, "ms", null),
    figure("longest stall of a worker, its CPU time", rotations.worker.cpuMs, "ms", 5),
    figure("the same by the clock", rotations.worker.ms, "ms", null),
    figure("longest stall of the main thread, its CPU time", rotations.main.cpuMs, "ms", null),
    figure("the same by the clock", rotations.main.ms, "ms", null),
    figure(
      "longest stall of the main thread from start to ready, its CPU time",
      rotations.mainAtStartCpuMs,
      "ms",
      null,
    ),
    figure("of a worker, likewise", rotations.workerAtStartCpuMs, "ms", null),
  ];
}
