import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { adminOk } from "./admin-client.ts";
import { type RunningProcess, runProcess } from "./child-process.ts";
import { acceptQueueLength, type FaultMode } from "./fault-target.ts";
import { type LoadOutcome, startRequestLoad } from "./request-load.ts";

/** What happens to one of the two targets. */
export type Fault = "SIGKILL" | "SIGSTOP" | "503 answers" | "resets" | "dropped connects" | "none";

export const faults: readonly Fault[] = ["SIGKILL", "SIGSTOP", "503 answers", "resets", "dropped connects"];

const modes: Partial<Record<Fault, FaultMode>> = {
  "503 answers": "503",
  resets: "reset",
  "dropped connects": "drop",
};

/** An upstream as decK writes it: every default of Kong spelled out. */
export const deckUpstream: Record<string, unknown> = {
  algorithm: "round-robin",
  slots: 10_000,
  hash_on: "none",
  hash_fallback: "none",
  hash_on_cookie_path: "/",
  use_srv_name: false,
  healthchecks: {
    threshold: 0,
    active: {
      type: "http",
      timeout: 1,
      concurrency: 10,
      http_path: "/",
      https_verify_certificate: true,
      healthy: { interval: 0, successes: 0, http_statuses: [200, 302] },
      unhealthy: {
        interval: 0,
        tcp_failures: 0,
        timeouts: 0,
        http_failures: 0,
        http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
      },
    },
    passive: {
      type: "http",
      healthy: {
        successes: 0,
        http_statuses: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
      },
      unhealthy: { tcp_failures: 0, timeouts: 0, http_failures: 0, http_statuses: [429, 500, 503] },
    },
  },
};

export interface FailingTargetRun {
  readonly outcome: LoadOutcome;
  /** How many answers there were, and when, in milliseconds since the load began: about ten a second. */
  readonly samples: readonly { readonly atMs: number; readonly answers: number }[];
  readonly faultAtMs: number;
  /** POSTs that both targets together executed more than once. */
  readonly executedTwice: readonly string[];
}

const targetFile = fileURLToPath(new URL("./fault-target.ts", import.meta.url));

export interface FaultTarget {
  readonly port: number;
  readonly process: RunningProcess;
  set(mode: FaultMode): Promise<void>;
  executed(): Promise<Record<string, number>>;
}

export async function startFaultTarget(name: string, port = 0): Promise<FaultTarget> {
  const process_ = runProcess(process.execPath, [targetFile, name, String(port)]);
  const line = await process_.jsonLine((parsed) => parsed["name"] === name);
  const url = `http://127.0.0.1:${line["port"]}`;
  return {
    port: line["port"] as number,
    process: process_,
    async set(mode) {
      await (await fetch(`${url}/__mode?to=${mode}`)).text();
    },
    async executed() {
      return (await (await fetch(`${url}/__executed`)).json()) as Record<string, number>;
    },
  };
}

/** Creates an upstream with two targets, and a route to it. */
export async function createFailingPair(
  adminUrl: string,
  name: string,
  ports: readonly number[],
  upstream: Record<string, unknown> = {},
): Promise<void> {
  const query = "?wait=applied&timeout=10s";
  await adminOk(adminUrl, "POST", `/upstreams${query}`, { ...upstream, name });
  for (const port of ports) {
    await adminOk(adminUrl, "POST", `/upstreams/${name}/targets${query}`, { target: `127.0.0.1:${port}` });
  }
  await adminOk(adminUrl, "POST", `/services${query}`, { name: `${name}-service`, host: name });
  await adminOk(adminUrl, "POST", `/services/${name}-service/routes${query}`, { paths: [`/${name}`] });
}

/**
 * Sends 1,000 requests/s over 16 connections with a client time-out of 3 s, and has one of two targets fail after a
 * third of the time. The loader never repeats a request; a close counts as a failure.
 */
export async function runFailingTarget(options: {
  readonly adminUrl: string;
  readonly proxyPort: number;
  readonly fault: Fault;
  readonly method: "GET" | "POST";
  readonly requestCount: number;
  readonly upstream?: Record<string, unknown>;
}): Promise<FailingTargetRun> {
  const { adminUrl, proxyPort, fault, method, requestCount } = options;
  const name = `u${Math.random().toString(36).slice(2, 10)}`;
  const [good, bad] = await Promise.all([startFaultTarget("good"), startFaultTarget("bad")]);
  const blockers: Socket[] = [];
  try {
    await createFailingPair(adminUrl, name, [bad.port, good.port], options.upstream);
    let sent = 0;
    const load = startRequestLoad({
      port: proxyPort,
      path: () => `/${name}/${sent++}`,
      method,
      ...(method === "POST" ? { body: "body" } : {}),
      requestsPerSecond: 1_000,
      connectionCount: 16,
    });
    const startedAtMs = performance.now();
    const samples: { atMs: number; answers: number }[] = [];
    const sample = () => samples.push({ atMs: performance.now() - startedAtMs, answers: load.outcome.ok });
    const sampling = setInterval(sample, 100);
    await load.finished(Math.floor(requestCount / 3));
    const faultAtMs = performance.now() - startedAtMs;
    await fail(bad, fault, blockers);
    await load.finished(requestCount);
    const outcome = await load.stop();
    clearInterval(sampling);
    if (fault === "SIGSTOP") bad.process.child.kill("SIGCONT");
    const hasReport = fault !== "SIGKILL" && fault !== "dropped connects";
    const reports = await Promise.all([good.executed(), hasReport ? bad.executed() : {}]);
    return { outcome, samples, faultAtMs, executedTwice: executedTwice(reports) };
  } finally {
    for (const socket of blockers) socket.destroy();
    await Promise.all([good.process.stop("SIGKILL"), bad.process.stop("SIGKILL")]);
  }
}

async function fail(target: FaultTarget, fault: Fault, blockers: Socket[]): Promise<void> {
  const mode = modes[fault];
  if (mode !== undefined) await target.set(mode);
  if (fault === "SIGKILL") await target.process.stop("SIGKILL");
  if (fault === "SIGSTOP") target.process.child.kill("SIGSTOP");
  if (fault !== "dropped connects") return;
  // Nobody takes these off the queue: with them it is full.
  for (let i = 0; i < acceptQueueLength + 4; i++)
    blockers.push(connect(target.port, "127.0.0.1").on("error", () => {}));
}

function executedTwice(reports: readonly Record<string, number>[]): string[] {
  const counts = new Map<string, number>();
  for (const report of reports) {
    for (const [path, count] of Object.entries(report)) counts.set(path, (counts.get(path) ?? 0) + count);
  }
  return [...counts].filter(([, count]) => count > 1).map(([path]) => path);
}
