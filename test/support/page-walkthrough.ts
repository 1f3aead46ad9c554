/**
 * Types the commands of the getting-started page and prints what each answered, as one JSON line.
 *
 * As `node page-walkthrough.ts namespace` it expects to run in a network and mount namespace of its own: it brings the
 * loopback interface up, binds a hosts file over /etc/hosts and uses the page's own names and ports, verbatim.
 * As `node page-walkthrough.ts ports` it runs the same commands with free ports and names put in their place.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningProcess, runProcess } from "./child-process.ts";

/** The page's commands, character by character. */
export const pageCommands = [
  "curl -i -s -X POST http://localhost:8001/services --data name=example_service --data url='http://httpbun.com'",
  "curl -i -X POST http://localhost:8001/services/example_service/routes --data 'paths[]=/mock' --data name=example_route",
  "curl -X GET http://localhost:8000/mock/headers",
  "curl -X POST http://localhost:8001/upstreams --data name=example_upstream",
  "curl -X POST http://localhost:8001/upstreams/example_upstream/targets --data target='httpbun.com:80'",
  "curl -X POST http://localhost:8001/upstreams/example_upstream/targets --data target='httpbin.konghq.com:80'",
  "curl -X PATCH http://localhost:8001/services/example_service --data host='example_upstream'",
  `curl -s http://localhost:8000/mock/headers | grep -i -A1 '"host"'`,
] as const;

export interface Walkthrough {
  /** Output of each of the page's commands, in order. */
  readonly outputs: readonly string[];
  /** Host lines of eight further requests, to see them alternate. */
  readonly hosts: readonly string[];
  /** Statuses of twenty requests after one of the servers was killed. */
  readonly statusesAfterKill: readonly string[];
  /** Pids of the processes that `penstock` runs as. */
  readonly processCount: number;
  /** Threads of V8's own in the data plane; null where the system does not tell. */
  readonly v8ThreadCount: number | null;
}

function shell(command: string): Promise<string> {
  return new Promise((resolve) => {
    execFile("bash", ["-c", command], { encoding: "utf8", timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface Stage {
  readonly env: Record<string, string>;
  readonly targetPorts: readonly [number, number];
  readonly targetHosts: readonly [string, string];
  /** Puts this stage's ports in place of the page's. */
  adapt(command: string): string;
}

const hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.0.2 httpbun.com\n127.0.0.3 httpbin.konghq.com\n";

function namespaceStage(folder: string): Stage {
  const hostsFile = join(folder, "hosts");
  writeFileSync(hostsFile, hosts);
  execFileSync("ip", ["link", "set", "lo", "up"]);
  execFileSync("mount", ["--bind", hostsFile, "/etc/hosts"]);
  return { env: {}, targetPorts: [80, 80], targetHosts: ["127.0.0.2", "127.0.0.3"], adapt: (command) => command };
}

async function portsStage(folder: string): Promise<Stage> {
  const hostsFile = join(folder, "hosts");
  writeFileSync(hostsFile, hosts);
  const [admin, proxy, sync, status, first, second] = await Promise.all(Array.from({ length: 6 }, freePort));
  return {
    env: {
      PENSTOCK_ADMIN_LISTEN: `127.0.0.1:${admin}`,
      PENSTOCK_PROXY_LISTEN: `127.0.0.1:${proxy}`,
      PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: `127.0.0.1:${sync}`,
      PENSTOCK_STATUS_LISTEN: `127.0.0.1:${status}`,
      PENSTOCK_HOSTS_FILE: hostsFile,
    },
    targetPorts: [first!, second!],
    targetHosts: ["127.0.0.2", "127.0.0.3"],
    adapt: (command) =>
      command
        .replace("localhost:8001", `127.0.0.1:${admin}`)
        .replace("localhost:8000", `127.0.0.1:${proxy}`)
        .replace("'http://httpbun.com'", `'http://httpbun.com:${first}'`)
        .replace("httpbun.com:80'", `httpbun.com:${first}'`)
        .replace("httpbin.konghq.com:80'", `httpbin.konghq.com:${second}'`),
  };
}

async function startEcho(name: string, port: number, host: string): Promise<RunningProcess> {
  const echo = runProcess(process.execPath, [join(import.meta.dirname, "echo-target.ts"), name, String(port), host]);
  await echo.jsonLine((line) => line["name"] === name);
  return echo;
}

function threadNames(pid: number): string[] | null {
  const folder = `/proc/${pid}/task`;
  if (!existsSync(folder)) return null;
  return readdirSync(folder).map((thread) => readFileSync(join(folder, thread, "comm"), "utf8").trim());
}

async function walkThrough(stage: Stage, stateDir: string): Promise<Walkthrough> {
  const echoes = await Promise.all(
    [0, 1].map((i) => startEcho(`t${i + 1}`, stage.targetPorts[i]!, stage.targetHosts[i]!)),
  );
  const bin = join(import.meta.dirname, "../../bin/penstock.js");
  const penstock = runProcess(process.execPath, [bin], {
    env: { ...stage.env, PENSTOCK_STATE_DIR: stateDir, PENSTOCK_LOG_LEVEL: "info" },
  });
  const seen = await penstock.jsonLine((line) => line["msg"] === "penstock is ready");
  const pids = seen["pids"] as number[];
  const v8ThreadCount = threadNames(pids.at(-1)!)?.filter((name) => name === "V8Worker").length ?? null;
  const outputs: string[] = [];
  for (const command of pageCommands) outputs.push(await shell(stage.adapt(command)));
  const last = stage.adapt(pageCommands.at(-1)!);
  const alternating: string[] = [];
  for (let i = 0; i < 8; i++) alternating.push(/"host": "([^"]*)"/i.exec(await shell(last))?.[1] ?? "none");
  await echoes[0]!.stop("SIGKILL");
  const status = stage.adapt("curl -s -o /dev/null -w '%{http_code}' http://localhost:8000/mock/headers");
  const statusesAfterKill: string[] = [];
  for (let i = 0; i < 20; i++) statusesAfterKill.push(await shell(status));
  await penstock.stop();
  await echoes[1]!.stop("SIGKILL");
  return { outputs, hosts: alternating, statusesAfterKill, processCount: pids.length, v8ThreadCount };
}

if (process.argv[1] === import.meta.filename) {
  const folder = mkdtempSync(join(tmpdir(), "penstock-walkthrough-"));
  try {
    const stage = process.argv[2] === "namespace" ? namespaceStage(folder) : await portsStage(folder);
    console.log(JSON.stringify(await walkThrough(stage, join(folder, "state"))));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
