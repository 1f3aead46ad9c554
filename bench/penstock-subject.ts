import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchProcess, type RunningSubject, type Subject, type SubjectSetup } from "./subject.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const command = join(root, "bin", "penstock.js");

/** Ours: one data plane with one worker, configured over REST through a control plane that then has nothing to do. */
export const penstockSubject: Subject = {
  name: "penstock",
  version: () => (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version,
  start: startPenstock,
};

async function startPenstock(setup: SubjectSetup): Promise<RunningSubject> {
  const controlPlane = new BenchProcess(setup.cores.load, [process.execPath, command, "control-plane"], {
    cwd: setup.folder,
    env: {
      PENSTOCK_STATE_DIR: join(setup.folder, "control-plane-state"),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    },
  });
  const { admin, sync } = await readyLine(controlPlane);
  const dataPlane = new BenchProcess(setup.cores.proxy, [process.execPath, command, "data-plane"], {
    cwd: setup.folder,
    env: {
      PENSTOCK_STATE_DIR: join(setup.folder, "data-plane-state"),
      PENSTOCK_CONTROL_PLANE: sync!,
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      PENSTOCK_WORKERS: "1",
    },
  });
  const { proxy } = await readyLine(dataPlane);
  await configure(`http://${admin}`, setup);
  return {
    port: Number(proxy!.slice(proxy!.lastIndexOf(":") + 1)),
    // The control plane is no part of serving requests: only the data plane's tree counts.
    pid: dataPlane.pid,
    stop: async () => {
      await dataPlane.stop();
      await controlPlane.stop();
    },
  };
}

/** The first address of each kind in the line that a plane logs when it is ready. */
async function readyLine(plane: BenchProcess): Promise<Record<string, string>> {
  return plane.outputWith((output) => {
    const line = output.split("\n").find((text) => text.startsWith("{") && text.includes('"ready"'));
    if (line === undefined) return null;
    const addresses = Object.entries(JSON.parse(line) as Record<string, unknown>).filter(([, value]) =>
      Array.isArray(value),
    );
    return Object.fromEntries(addresses.map(([kind, value]) => [kind, String((value as unknown[])[0])]));
  });
}

async function configure(adminUrl: string, setup: SubjectSetup): Promise<void> {
  await create(adminUrl, "/upstreams", { name: "bench" });
  for (const [i, port] of setup.targetPorts.entries()) {
    await create(adminUrl, "/upstreams/bench/targets", { target: `127.0.0.1:${port}`, weight: setup.targetWeights[i] });
  }
  await create(adminUrl, "/services", { name: "bench", host: "bench", protocol: "http" });
  // The last write waits until the data plane serves it, and with it all before.
  await create(adminUrl, "/services/bench/routes?wait=applied&timeout=10s", { name: "bench", paths: ["/bench"] });
}

async function create(adminUrl: string, path: string, body: unknown): Promise<void> {
  const response = await fetch(adminUrl + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
}
