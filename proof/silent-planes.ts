/**
 * Row 3: a plane that is stopped (SIGSTOP) while its connections stay open is noticed by the other one, with the
 * settings that there are. The other one goes on: a node looks for a control plane, a control plane no longer counts
 * the node.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningProcess } from "../test/support/child-process.ts";
import { startProofControlPlane, startProofDataPlane } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const roundCount = 4;

/** How long after its peer was stopped a process says so. */
async function noticedMs(stopped: RunningProcess, by: RunningProcess, message: string): Promise<number> {
  const isSaid = by.jsonLine((line) => line["msg"] === message);
  const startedAtMs = performance.now();
  stopped.child.kill("SIGSTOP");
  await isSaid;
  return performance.now() - startedAtMs;
}

/** A control plane with one node. */
async function startPair() {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const { process: controlPlane, syncAddress } = await startProofControlPlane(folder);
  const env = { PENSTOCK_STATE_DIR: folder, PENSTOCK_CONTROL_PLANE: syncAddress };
  const { process: node } = await startProofDataPlane(env);
  await node.jsonLine((line) => line["msg"] === "applied");
  const stop = async () => {
    for (const process of [node, controlPlane]) await process.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  return { controlPlane, node, stop };
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const byNode: number[] = [];
  const byControlPlane: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    const [first, second] = [await startPair(), await startPair()];
    // At another moment between two pings each time.
    await sleep(2_500 * round);
    const [node, controlPlane] = await Promise.all([
      noticedMs(first.controlPlane, first.node, "no stream to the control plane"),
      noticedMs(second.node, second.controlPlane, "node disconnected"),
    ]);
    byNode.push(node);
    byControlPlane.push(controlPlane);
    const [nodeMs, controlPlaneMs] = [Math.round(node), Math.round(controlPlane)];
    progress(`round ${round + 1}: by the node after ${nodeMs} ms, by the control plane after ${controlPlaneMs} ms`);
    for (const pair of [first, second]) await pair.stop();
  }
  const longest = (values: readonly number[]) => Math.round(Math.max(...values));
  return [
    {
      name: "a control plane that is stopped is noticed by its node",
      value: longest(byNode),
      unit: "ms",
      atMost: 15_000,
    },
    {
      name: "a node that is stopped is noticed by its control plane",
      value: longest(byControlPlane),
      unit: "ms",
      atMost: 15_000,
    },
  ];
}
