/**
 * What a newcomer waits for: from a fresh clone to the first proxied answer, from a second `npm start` to ready,
 * and what the two planes hold in memory while they idle. Needs git, npm and /proc.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEchoTarget } from "../test/support/echo-target.ts";
import type { Figure } from "./prove.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const idleSeconds = 20;

/** The environment of a newcomer's shell: without this checkout's tools on the PATH. */
function newcomerEnv(more: Record<string, string>): NodeJS.ProcessEnv {
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((entry) => !/node_modules[\\/]\.bin|node-gyp-bin/.test(entry));
  const kept = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") && name !== "NODE"),
  );
  return { ...kept, PATH: path.join(delimiter), ...more };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface Started {
  readonly readyAfterMs: number;
  readonly pids: readonly number[];
  readonly adminUrl: string;
  readonly proxyUrl: string;
  stop(): Promise<void>;
}

async function npmStart(checkout: string): Promise<Started> {
  const [admin, proxy, sync, status] = await Promise.all(Array.from({ length: 4 }, freePort));
  const startedAtMs = performance.now();
  const npm = spawn("npm", ["start"], {
    cwd: checkout,
    detached: true,
    env: newcomerEnv({
      PENSTOCK_ADMIN_LISTEN: `127.0.0.1:${admin}`,
      PENSTOCK_PROXY_LISTEN: `127.0.0.1:${proxy}`,
      PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: `127.0.0.1:${sync}`,
      PENSTOCK_STATUS_LISTEN: `127.0.0.1:${status}`,
      PENSTOCK_WORKERS: "2",
      PENSTOCK_LOG_LEVEL: "info",
    }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  const pids = await new Promise<number[]>((resolve, reject) => {
    npm.stdout.on("data", (chunk) => {
      output += chunk;
      const line = output.split("\n").find((one) => one.includes('"msg":"penstock is ready"'));
      if (line !== undefined) resolve((JSON.parse(line) as { pids: number[] }).pids);
    });
    npm.once("exit", () => reject(new Error(`npm start ended:\n${output}`)));
  });
  const readyAfterMs = performance.now() - startedAtMs;
  return {
    readyAfterMs,
    pids,
    adminUrl: `http://127.0.0.1:${admin}`,
    proxyUrl: `http://127.0.0.1:${proxy}`,
    stop: async () => {
      const ended = new Promise((resolve) => npm.once("exit", resolve));
      process.kill(-npm.pid!, "SIGTERM");
      await ended;
    },
  };
}

/** The first proxied answer of the walkthrough. */
async function firstAnswer(started: Started, targetPort: number): Promise<void> {
  const post = (path: string, body: unknown) =>
    fetch(started.adminUrl + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await post("/services", { name: "s", url: `http://127.0.0.1:${targetPort}` });
  await post("/services/s/routes", { paths: ["/mock"] });
  const answer = await fetch(`${started.proxyUrl}/mock/headers`);
  if (answer.status !== 200) throw new Error(`the proxy answered ${answer.status}: ${await answer.text()}`);
}

function pssMiB(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]) / 1024;
}

function clone(folder: string): void {
  execFileSync("git", ["clone", "--quiet", "--no-hardlinks", root, folder], { stdio: "inherit" });
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-start-"));
  const target = await startEchoTarget("t1", 0);
  try {
    progress("warming the package cache");
    clone(join(folder, "warm"));
    execFileSync("npm", ["ci", "--ignore-scripts", "--loglevel=error"], {
      cwd: join(folder, "warm"),
      env: newcomerEnv({}),
      stdio: "inherit",
    });
    rmSync(join(folder, "warm"), { recursive: true });

    progress("fresh clone, npm start, first proxied answer");
    const cloneAtMs = performance.now();
    clone(join(folder, "fresh"));
    const first = await npmStart(join(folder, "fresh"));
    await firstAnswer(first, target.port);
    const freshMs = performance.now() - cloneAtMs;
    await first.stop();

    progress("npm start again, three times");
    const readyMs: number[] = [];
    for (let i = 0; i < 3; i++) {
      const again = await npmStart(join(folder, "fresh"));
      readyMs.push(again.readyAfterMs);
      if (i < 2) await again.stop();
      else {
        progress(
          `idle for ${idleSeconds} s, then memory (${readdirSync(`/proc/${again.pids[0]}/task`).length} threads in the control plane)`,
        );
        await sleep(idleSeconds * 1_000);
        const pss = again.pids.map(pssMiB);
        await again.stop();
        return [
          { name: "fresh clone to first proxied answer", value: Math.round(freshMs / 100) / 10, unit: "s", atMost: 60 },
          {
            name: "npm start to ready once installed, median of 3",
            value: Math.round([...readyMs].sort((a, b) => a - b)[1]!) / 1000,
            unit: "s",
            atMost: 3,
          },
          {
            name: "idle memory of both planes with two workers, sum of PSS",
            value: Math.round(pss[0]! + pss[1]!),
            unit: "MB",
            atMost: 260,
          },
          { name: "of these the data plane", value: Math.round(pss[1]!), unit: "MB", atMost: 130 },
        ];
      }
    }
    throw new Error("unreachable");
  } finally {
    target.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
