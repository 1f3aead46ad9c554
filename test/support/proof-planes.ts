import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createBalancedRoute } from "./admin-client.ts";
import { type RunningProcess, runProcess } from "./child-process.ts";

const command = fileURLToPath(new URL("../../bin/penstock.js", import.meta.url));

const echoTarget = fileURLToPath(new URL("./echo-target.ts", import.meta.url));

/** Both planes as processes, outside of any test. */
export interface ProofPlanes {
  readonly adminUrl: string;
  readonly proxyPort: number;
  /** 0 unless a port was asked for (PENSTOCK_PROXY_TLS_LISTEN). */
  readonly proxyTlsPort: number;
  /** host:port where nodes connect. */
  readonly syncAddress: string;
  readonly statusUrl: string;
  readonly dataPlane: RunningProcess;
  readonly dataPlanePid: number;
  counters(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

const isReady = (line: Record<string, unknown>): boolean => line["msg"] === "ready";

export interface ProofDataPlane {
  readonly process: RunningProcess;
  readonly proxyPort: number;
  /** 0 unless a port was asked for (PENSTOCK_PROXY_TLS_LISTEN). */
  readonly proxyTlsPort: number;
  readonly statusUrl: string;
}

/** Starts a data plane with one worker, on free ports, but for what `env` says; resolves when it listens. */
export async function startProofDataPlane(
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<ProofDataPlane> {
  const dataPlane = runProcess(process.execPath, [command, "data-plane", ...args], {
    env: {
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_PROXY_TLS_LISTEN: "off",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      PENSTOCK_WORKERS: "1",
      ...env,
    },
  });
  const { proxy, proxy_tls: proxyTls, status } = (await dataPlane.jsonLine(isReady)) as Record<string, string[]>;
  const portOf = (addresses: readonly string[] = []) => Number(addresses[0]?.split(":").at(-1) ?? 0);
  const ports = { proxyPort: portOf(proxy), proxyTlsPort: portOf(proxyTls) };
  return { process: dataPlane, ...ports, statusUrl: `http://${status![0]}` };
}

export interface ProofControlPlane {
  readonly process: RunningProcess;
  readonly adminUrl: string;
  /** host:port where nodes connect. */
  readonly syncAddress: string;
}

/** Starts a control plane on free ports, but for what `env` says; resolves when it listens. */
export async function startProofControlPlane(
  stateFolder: string,
  env: Record<string, string> = {},
): Promise<ProofControlPlane> {
  const controlPlane = runProcess(process.execPath, [command, "control-plane"], {
    env: {
      PENSTOCK_STATE_DIR: stateFolder,
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
      ...env,
    },
  });
  const { admin, sync } = (await controlPlane.jsonLine(isReady)) as Record<string, string[]>;
  return { process: controlPlane, adminUrl: `http://${admin![0]}`, syncAddress: sync![0]! };
}

/** Starts both planes with a route /p to the targets. */
export async function startProofPlanes(
  targetPorts: readonly number[],
  env: Record<string, string> = {},
): Promise<ProofPlanes> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const { process: controlPlane, adminUrl, syncAddress } = await startProofControlPlane(folder);
  const node = await startProofDataPlane({ PENSTOCK_STATE_DIR: folder, PENSTOCK_CONTROL_PLANE: syncAddress, ...env });
  const { process: dataPlane, proxyPort, proxyTlsPort, statusUrl } = node;
  const targets = targetPorts.map((port) => `127.0.0.1:${port}`);
  await createBalancedRoute(adminUrl, { name: "proof", path: "/p", targets });
  return {
    adminUrl,
    syncAddress,
    statusUrl,
    proxyPort,
    proxyTlsPort,
    dataPlane,
    dataPlanePid: dataPlane.pid,
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

/** Starts an echo target as a process of its own: what keeps a proof busy must not make its target slow. */
export async function startProofTarget(): Promise<{ readonly port: number; stop(): Promise<unknown> }> {
  const target = runProcess(process.execPath, [echoTarget, "t1", "0"]);
  const { port } = await target.jsonLine((line) => "port" in line);
  return { port: port as number, stop: () => target.stop("SIGKILL") };
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
