import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchProcess } from "./bench-process.ts";
import { configurePenstock } from "./configure-penstock.ts";
import type { Cores, RunningSubject, Subject, SubjectSetup } from "./subject.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const command = join(root, "bin", "penstock.js");
const accessLogFile = "access.log";

/** Ours: one data plane with one worker, configured over REST through a control plane that then has nothing to do. */
export const penstockSubject: Subject = {
  name: "penstock",
  version: () => (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version,
  start: async (setup) => {
    const { contestant, certificate, targetPorts, targetWeights, folder, cores } = setup;
    const planes = await startPlanes({
      contestant,
      certificate,
      targetPorts,
      targetWeights,
      folder,
      cores,
      workerCount: 1,
    });
    const { proxyPort, dataPlane } = planes;
    // The control plane is no part of serving requests: only the data plane's tree counts.
    const accessLogPath = contestant.hasAccessLog ? join(folder, accessLogFile) : null;
    return { port: proxyPort, pid: dataPlane.pid, accessLogPath, stop: () => planes.stop() } satisfies RunningSubject;
  },
};

interface PlanesSetup
  extends Pick<SubjectSetup, "contestant" | "certificate" | "targetPorts" | "targetWeights" | "folder"> {
  readonly cores: Cores;
  readonly workerCount: number;
}

interface Planes {
  readonly dataPlane: BenchProcess;
  readonly proxyPort: number;
  stop(): Promise<void>;
}

/** Both planes, configured, as their compiled code. */
export async function startPlanes(setup: PlanesSetup): Promise<Planes> {
  const { folder, cores, workerCount } = setup;
  const controlPlane = new BenchProcess(cores.load, [process.execPath, command, "control-plane"], {
    folder,
    name: "control-plane",
    env: {
      PENSTOCK_STATE_DIR: join(folder, "control-plane-state"),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    },
  });
  const { admin, sync } = await readyLine(controlPlane);
  let dataPlane: BenchProcess | null = null;
  let proxyPort = 0;
  // A node that takes the state as it grows would compile it many times over.
  await configurePenstock(`http://${admin}`, setup, async () => {
    dataPlane = new BenchProcess(cores.proxy, [process.execPath, command, "data-plane"], {
      folder,
      name: "data-plane",
      env: {
        PENSTOCK_STATE_DIR: join(folder, "data-plane-state"),
        PENSTOCK_CONTROL_PLANE: sync!,
        PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
        PENSTOCK_PROXY_TLS_LISTEN: setup.certificate === null ? "off" : "127.0.0.1:0",
        PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
        PENSTOCK_WORKERS: String(workerCount),
        PENSTOCK_ACCESS_LOG: setup.contestant.hasAccessLog ? join(folder, accessLogFile) : "off",
      },
    });
    const { proxy, proxy_tls: proxyTls } = await readyLine(dataPlane);
    const address = setup.certificate === null ? proxy! : proxyTls!;
    proxyPort = Number(address.slice(address.lastIndexOf(":") + 1));
  });
  return {
    dataPlane: dataPlane!,
    proxyPort,
    stop: async () => {
      await dataPlane!.stop();
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
