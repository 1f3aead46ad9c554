/**
 * Row 6: nodes are cut off from their control plane, by a link that passes nothing and tells nobody; 500 changes are
 * made meanwhile; then the link is healed. Once for a time that neither side notices, and once for long enough that the
 * nodes have given their streams up and wait before each attempt to connect. They come to the newest by one apply or
 * two, not by 500.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk, createBalancedRoute } from "../test/support/admin-client.ts";
import type { RunningProcess } from "../test/support/child-process.ts";
import { startProofControlPlane, startProofDataPlane } from "../test/support/proof-planes.ts";
import { SeverableLink } from "../test/support/severable-link.ts";
import type { Figure } from "./prove.ts";

const nodeCount = 3;
const editCount = 500;
const shortMs = 8_000;
const longMs = 60_000;

type Line = Record<string, unknown>;

const isApplied = (line: Line) => line["msg"] === "applied";

/** Lines of a process from now on, with when they came. */
function linesFromNow(process: RunningProcess) {
  const lines: { readonly line: Line; readonly atMs: number }[] = [];
  const listening = process.jsonLine((line) => {
    lines.push({ line, atMs: performance.now() });
    return false;
  });
  // Rejects when the process ends.
  listening.catch(() => {});
  const before = lines.length;
  return () => lines.slice(before);
}

interface Healed {
  /** Until every worker of the node serves the newest. */
  readonly convergedMs: number;
  /** Of it, until the node had a stream again; 0 when it never lost it. */
  readonly reconnectedMs: number;
  readonly applyCount: number;
}

async function edit(adminUrl: string, duringMs: number): Promise<number> {
  const startedAtMs = performance.now();
  for (let i = 0; i < editCount; i++) {
    const weight = 1 + (i % 999);
    await adminOk(adminUrl, "PATCH", "/upstreams/cut/targets/10.0.0.1:80?wait=none", { weight });
    await sleep(Math.max(0, startedAtMs + ((i + 1) * duringMs) / editCount - performance.now()));
  }
  // The last ones are published together, at most 250 ms later: before the link is healed.
  await sleep(500);
  return (await adminOk(adminUrl, "GET", "/status")).body.revision as number;
}

async function partition(nodes: readonly RunningProcess[], link: SeverableLink, adminUrl: string, duringMs: number) {
  link.cut();
  const revision = await edit(adminUrl, duringMs);
  const heard = nodes.map(linesFromNow);
  const healedAtMs = performance.now();
  link.heal();
  const isNewest = (line: Line) => isApplied(line) && (line["revision"] as number) >= revision;
  await Promise.all(nodes.map((node) => node.jsonLine(isNewest)));
  // What would still be applied after the newest comes with the next messages.
  await sleep(1_000);
  return heard.map((lines): Healed => {
    const since = (found: { readonly atMs: number } | undefined) => (found?.atMs ?? healedAtMs) - healedAtMs;
    return {
      convergedMs: since(lines().find(({ line }) => isNewest(line))),
      reconnectedMs: since(lines().find(({ line }) => line["msg"] === "connected to the control plane")),
      applyCount: lines().filter(({ line }) => isApplied(line)).length,
    };
  });
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const control = await startProofControlPlane(join(folder, "control"));
  const link = await SeverableLink.open(control.syncAddress);
  const nodes: RunningProcess[] = [];
  try {
    for (let i = 0; i < nodeCount; i++) {
      const env = { PENSTOCK_STATE_DIR: join(folder, `node-${i}`), PENSTOCK_CONTROL_PLANE: link.address };
      nodes.push((await startProofDataPlane(env)).process);
      await nodes[i]!.jsonLine(isApplied);
    }
    await createBalancedRoute(control.adminUrl, { name: "cut", path: "/cut", targets: ["10.0.0.1:80"] });
    const short = await partition(nodes, link, control.adminUrl, shortMs);
    progress(`${shortMs / 1_000} s: ${JSON.stringify(short)}`);
    const long = await partition(nodes, link, control.adminUrl, longMs);
    progress(`${longMs / 1_000} s: ${JSON.stringify(long)}`);
    const longest = (healed: readonly Healed[], of: (one: Healed) => number) => Math.round(Math.max(...healed.map(of)));
    const figures = (healed: readonly Healed[], ms: number): Figure[] => {
      const during = `${editCount} changes in ${ms / 1_000} s without a link, ${nodeCount} nodes`;
      return [
        {
          name: `${during}: newest served after healing, longest`,
          value: longest(healed, ({ convergedMs }) => convergedMs),
          unit: "ms",
          atMost: 2_000,
        },
        {
          name: `${during}: of that, until a stream was open again`,
          value: longest(healed, ({ reconnectedMs }) => reconnectedMs),
          unit: "ms",
          atMost: null,
        },
        {
          name: `${during}: applies, most of a node`,
          value: longest(healed, ({ applyCount }) => applyCount),
          unit: "applies",
          atMost: 2,
        },
      ];
    };
    return [...figures(short, shortMs), ...figures(long, longMs)];
  } finally {
    for (const process of [...nodes, control.process]) await process.stop("SIGKILL");
    link.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
