import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type RunningProcess, runProcess } from "./child-process.ts";
import { type ProofPlanes, startProofDataPlane, startProofPlanes } from "./proof-planes.ts";

/** A proxy whose processes are replaced while it serves. */
export interface RollingSubject {
  readonly port: number;
  /** Puts new processes in the place of those that serve; resolves when the former ones have ended. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** How a subject is started. @param folder an empty one of its own */
export type StartSubject = (targetPort: number, folder: string) => Promise<RollingSubject>;

const pollMs = 20;
/** A process that has not ended by then is left to itself: it may have connections that nobody closes. */
const endWaitMs = 3_000;
const startWaitMs = 10_000;
const workerCount = 2;

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function until(isSo: () => boolean, waitMs: number): Promise<boolean> {
  const startedAtMs = performance.now();
  while (!isSo()) {
    if (performance.now() - startedAtMs > waitMs) return false;
    await sleep(pollMs);
  }
  return true;
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

async function untilServing(port: number, peer: RunningProcess): Promise<void> {
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < startWaitMs) {
    const answer = await fetch(`http://127.0.0.1:${port}/p?bytes=1`).catch(() => null);
    if (answer?.status === 200) return;
    await sleep(pollMs);
  }
  throw new Error(`the peer does not serve:\n${peer.lines.join("\n")}`);
}

/**
 * Penstock: a new data plane with --take-over and a state folder of its own; once it is ready, SIGTERM to the former.
 * @param drainTimeout how long a former process goes on accepting while connections do not pause
 */
export function penstock(drainTimeout: string): StartSubject {
  return async (targetPort, folder) => {
    const env = { PENSTOCK_WORKERS: String(workerCount), PENSTOCK_DRAIN_TIMEOUT: drainTimeout };
    const planes: ProofPlanes = await startProofPlanes([targetPort], env);
    let serving: RunningProcess = planes.dataPlane;
    let count = 0;
    return {
      port: planes.proxyPort,
      async restart() {
        const former = serving;
        const next = await startProofDataPlane(
          {
            ...env,
            PENSTOCK_STATE_DIR: join(folder, `node-${++count}`),
            PENSTOCK_CONTROL_PLANE: planes.syncAddress,
            PENSTOCK_PROXY_LISTEN: `127.0.0.1:${planes.proxyPort}`,
          },
          ["--take-over"],
        );
        serving = next.process;
        const ready = await fetch(`${next.statusUrl}/status/ready`);
        if (ready.status !== 200) throw new Error(`the new process listens and is not ready: ${await ready.text()}`);
        const end = await former.stop();
        if (end !== 0) throw new Error(`the former process ended with ${end}:\n${former.lines.join("\n")}`);
      },
      async stop() {
        await serving.stop("SIGKILL");
        await planes.stop();
      },
    };
  };
}

function nginxConfig(port: number, targetPort: number): string {
  return `
# Under the process that started it, nginx takes SIGUSR2 for one sent to the new binary, and ignores it.
daemon on;
# In a namespace of its own there is nobody else to become.
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes ${workerCount};
pid nginx.pid;
error_log error.log error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
  uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  upstream targets { server 127.0.0.1:${targetPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location /p { proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`;
}

async function startNginx(targetPort: number, folder: string) {
  const port = await freePort();
  const pidFile = join(folder, "nginx.pid");
  mkdirSync(join(folder, "temp"));
  writeFileSync(join(folder, "nginx.conf"), nginxConfig(port, targetPort));
  await untilServing(port, runProcess(pathOf("nginx")!, ["-p", folder, "-c", "nginx.conf", "-e", "error.log"]));
  const masterPid = () => {
    try {
      return Number(readFileSync(pidFile, "utf8"));
    } catch {
      return 0;
    }
  };
  const stop = async () => {
    const pid = masterPid();
    process.kill(pid, "SIGTERM");
    await until(() => childrenOf(pid).length === 0, endWaitMs);
  };
  return { port, masterPid, stop };
}

/** SIGHUP: the master stays and has the listening socket, new workers come and the former ones leave. */
const nginxReload: StartSubject = async (targetPort, folder) => {
  const { port, masterPid, stop } = await startNginx(targetPort, folder);
  return {
    port,
    stop,
    async restart() {
      const former = childrenOf(masterPid());
      process.kill(masterPid(), "SIGHUP");
      const hasLeft = () => !childrenOf(masterPid()).some((pid) => former.includes(pid));
      await until(() => hasLeft() && childrenOf(masterPid()).length === workerCount, endWaitMs);
    },
  };
};

/** SIGUSR2: a new master of the binary on disk inherits the listening socket; SIGQUIT to the former. */
const nginxUpgrade: StartSubject = async (targetPort, folder) => {
  const { port, masterPid, stop } = await startNginx(targetPort, folder);
  return {
    port,
    stop,
    async restart() {
      const former = masterPid();
      process.kill(former, "SIGUSR2");
      const isNewUp = () => ![0, former].includes(masterPid()) && childrenOf(masterPid()).length === workerCount;
      if (!(await until(isNewUp, endWaitMs))) throw new Error("nginx started no new master");
      process.kill(former, "SIGQUIT");
      await until(() => !childrenOf(former).some((pid) => pid !== masterPid()), endWaitMs);
    },
  };
};

/** Master-worker: SIGUSR2 has the master start itself anew, with the listening sockets of the former worker. */
function haproxy(exposesSockets: boolean): StartSubject {
  return async (targetPort, folder) => {
    const port = await freePort();
    const statsLine = exposesSockets ? `stats socket ${folder}/stats mode 600 level admin expose-fd listeners` : "";
    writeFileSync(
      join(folder, "haproxy.cfg"),
      `
global
  nbthread ${workerCount}
  maxconn 4096
  ${statsLine}
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 60s
frontend proof
  bind 127.0.0.1:${port}
  default_backend targets
backend targets
  server target 127.0.0.1:${targetPort}
`,
    );
    const master = runProcess(pathOf("haproxy")!, ["-W", "-f", join(folder, "haproxy.cfg")]);
    await untilServing(port, master);
    return {
      port,
      async restart() {
        const former = childrenOf(master.pid);
        master.child.kill("SIGUSR2");
        const isNew = (pid: number) => !former.includes(pid);
        await until(() => childrenOf(master.pid).length > 0 && childrenOf(master.pid).every(isNew), endWaitMs);
      },
      async stop() {
        await master.stop("SIGTERM");
      },
    };
  };
}

/** Whole, as nginx starts itself anew by the path that it was started with; null: not on this machine. */
function pathOf(command: string): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path)) ?? null;
}

/** The peers, and the program of each. */
export const peers: Readonly<Record<string, { readonly command: string; readonly start: StartSubject }>> = {
  "nginx, reload (SIGHUP)": { command: "nginx", start: nginxReload },
  "nginx, binary upgrade (SIGUSR2)": { command: "nginx", start: nginxUpgrade },
  "HAProxy, -W reload (SIGUSR2)": { command: "haproxy", start: haproxy(false) },
  "HAProxy, -W reload with expose-fd listeners": { command: "haproxy", start: haproxy(true) },
};

/** The names of the peers that are on this machine, and of those that are not. */
export function findPeers(): { readonly found: readonly string[]; readonly missing: readonly string[] } {
  const names = Object.keys(peers);
  const found = names.filter((name) => pathOf(peers[name]!.command) !== null);
  return { found, missing: names.filter((name) => !found.includes(name)) };
}
