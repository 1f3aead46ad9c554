import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createBalancedRoute } from "./admin-client.ts";
import { type RunningProcess, runProcess } from "./child-process.ts";

const command = fileURLToPath(new URL("../../bin/penstock.js", import.meta.url));

/** Both planes as processes, outside of any test. */
export interface ProofPlanes {
  readonly adminUrl: string;
  readonly proxyPort: number;
  readonly statusUrl: string;
  readonly dataPlanePid: number;
  readonly dataPlane: RunningProcess;
  counters(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

/** Starts both planes with a route /p to the targets. */
export async function startProofPlanes(
  targetPorts: readonly number[],
  env: Record<string, string> = {},
): Promise<ProofPlanes> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const isReady = (line: Record<string, unknown>) => line["msg"] === "ready";
  const controlPlane = runProcess(process.execPath, [command, "control-plane"], {
    env: {
      PENSTOCK_STATE_DIR: folder,
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    },
  });
  const { admin, sync } = (await controlPlane.jsonLine(isReady)) as Record<string, string[]>;
  const dataPlane = runProcess(process.execPath, [command, "data-plane"], {
    env: {
      PENSTOCK_STATE_DIR: folder,
      PENSTOCK_CONTROL_PLANE: sync![0]!,
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      PENSTOCK_WORKERS: "1",
      ...env,
    },
  });
  const { proxy, status } = (await dataPlane.jsonLine(isReady)) as Record<string, string[]>;
  const adminUrl = `http://${admin![0]}`;
  const statusUrl = `http://${status![0]}`;
  const targets = targetPorts.map((port) => `127.0.0.1:${port}`);
  await createBalancedRoute(adminUrl, { name: "proof", path: "/p", targets });
  return {
    adminUrl,
    statusUrl,
    proxyPort: Number(proxy![0]!.split(":").at(-1)),
    dataPlanePid: dataPlane.pid,
    dataPlane,
    async counters() {
      return ((await (await fetch(`${statusUrl}/status`)).json()) as { counters: Record<string, number> }).counters;
    },
    async stop() {
      await dataPlane.stop("SIGKILL");
      await controlPlane.stop("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a process has in memory, in KiB. */
export function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** GETs an URL every `everyMs`, one after the other, until stopped. @returns the latencies, failures as Infinity */
export function probe(url: string, everyMs: number): { stop(): Promise<readonly number[]> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const latencies: number[] = [];
  let isStopped = false;
  const once = () =>
    new Promise<void>((resolve) => {
      const startedAtMs = performance.now();
      const end = (isFine: boolean) => {
        latencies.push(isFine ? performance.now() - startedAtMs : Number.POSITIVE_INFINITY);
        resolve();
      };
      const sent = request(url, { agent, timeout: 5_000 }, (answer) => {
        answer.resume();
        answer.on("end", () => end(answer.statusCode === 200));
      });
      sent.on("timeout", () => sent.destroy());
      sent.on("error", () => end(false));
      sent.end();
    });
  const running = (async () => {
    while (!isStopped) {
      await once();
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await running;
      agent.destroy();
      return latencies;
    },
  };
}

/** The value that 99 % stay below. */
export function p99(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? Number.NaN;
}
