/**
 * A5, static stability: a data plane that starts while there is no control plane, from what it keeps on disk and, for the
 * first time, from a seed. Time from starting the process to the first answer of a target.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk, createBalancedRoute } from "../test/support/admin-client.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { startProofControlPlane, startProofDataPlane } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const startCount = 5;
const routeCount = 1_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The status of one answer; 0 while nobody listens. */
function statusOf(port: number): Promise<number> {
  return new Promise((resolve) => {
    const asked = request(
      { host: "127.0.0.1", port, path: "/p/x", agent: new Agent({ keepAlive: false }) },
      (answer) => {
        answer.resume();
        answer.once("end", () => resolve(answer.statusCode ?? 0));
      },
    );
    asked.once("error", () => resolve(0));
    asked.end();
  });
}

/** How long a data plane takes from its start to its first good answer; it is killed after that. */
async function firstAnswerMs(env: Record<string, string>): Promise<number> {
  const port = await freePort();
  const startedAtMs = performance.now();
  const starting = startProofDataPlane({ ...env, PENSTOCK_PROXY_LISTEN: `127.0.0.1:${port}`, PENSTOCK_WORKERS: "2" });
  while ((await statusOf(port)) !== 200) await sleep(2);
  const tookMs = performance.now() - startedAtMs;
  const { process } = await starting;
  await process.stop("SIGKILL");
  return tookMs;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const target = await startEchoTarget("t1", 0);
  try {
    const controlPlane = await startProofControlPlane(join(folder, "control-plane"));
    const { adminUrl, syncAddress } = controlPlane;
    await createBalancedRoute(adminUrl, { name: "p", path: "/p", targets: [`127.0.0.1:${target.port}`] });
    for (let i = 1; i < routeCount; i++)
      await adminOk(adminUrl, "POST", "/services/p-service/routes?wait=none", { paths: [`/r${i}`] });
    const seed = join(folder, "seed.snapshot");
    writeFileSync(seed, Buffer.from(await (await fetch(`${adminUrl}/config/snapshot`)).arrayBuffer()));
    const kept = { PENSTOCK_CONTROL_PLANE: syncAddress, PENSTOCK_STATE_DIR: join(folder, "data-plane") };
    const node = await startProofDataPlane(kept);
    await node.process.jsonLine((line) => line["msg"] === "applied");
    // The file is written after the ack; SIGTERM waits for what is under way.
    await node.process.stop();
    progress(`a configuration of ${routeCount} routes is kept`);
    await controlPlane.process.stop("SIGKILL");

    const fromDisk: number[] = [];
    const fromSeed: number[] = [];
    for (let i = 0; i < startCount; i++) {
      fromDisk.push(await firstAnswerMs(kept));
      const fresh = { PENSTOCK_STATE_DIR: join(folder, `fresh-${i}`), PENSTOCK_SEED: seed };
      fromSeed.push(await firstAnswerMs({ ...kept, ...fresh }));
      progress(`start ${i + 1}: from disk ${Math.round(fromDisk[i]!)} ms, from a seed ${Math.round(fromSeed[i]!)} ms`);
    }
    const longest = (values: readonly number[]) => Math.round(Math.max(...values));
    const starts = `longest of ${startCount}`;
    return [
      { name: `restart to first good answer, ${starts}`, value: longest(fromDisk), unit: "ms", atMost: 1_000 },
      { name: `first start from a seed, ${starts}`, value: longest(fromSeed), unit: "ms", atMost: 1_000 },
    ];
  } finally {
    target.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
