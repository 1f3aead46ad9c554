import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { type RunningProcess, runProcess } from "./child-process.ts";

export const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url));
export const penstockCommand = join(repositoryRoot, "bin", "penstock.js");

/** A folder of the running test's own, removed when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "penstock-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Runs `penstock ARGS` until the test is over. @param descriptorLimit how many files it may have open */
export function runPenstock(
  args: readonly string[],
  env: Record<string, string> = {},
  descriptorLimit?: number,
): RunningProcess {
  const command = [process.execPath, penstockCommand, ...args];
  // Only a shell can lower the limit of a process that is yet to start.
  const limited = ["bash", "-c", `ulimit -n ${descriptorLimit} && exec "$0" "$@"`, ...command];
  const [program = "", ...rest] = descriptorLimit === undefined ? command : limited;
  const penstock = runProcess(program, rest, { env, cwd: tmpdir() });
  onTestFinished(async () => {
    // A stopped process gets no SIGTERM; SIGKILL ends it all the same.
    await penstock.stop("SIGKILL");
  });
  return penstock;
}

/** A process that has ended may wait as a zombie for its parent to ask how. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export interface ControlPlaneProcess extends RunningProcess {
  /** http://127.0.0.1:PORT */
  readonly adminUrl: string;
  readonly syncAddress: string;
}

const isReady = (line: Record<string, unknown>): boolean => line["msg"] === "ready";

/** Starts `penstock control-plane` on free ports (or the given ones) and waits until it is ready. */
export async function startControlPlane(
  options: { stateDir?: string; adminPort?: number; syncPort?: number; env?: Record<string, string> } = {},
): Promise<ControlPlaneProcess> {
  const penstock = runPenstock(["control-plane"], {
    PENSTOCK_STATE_DIR: options.stateDir ?? temporaryFolder(),
    PENSTOCK_ADMIN_LISTEN: `127.0.0.1:${options.adminPort ?? 0}`,
    PENSTOCK_SYNC_LISTEN: `127.0.0.1:${options.syncPort ?? 0}`,
    ...options.env,
  });
  const ready = await penstock.jsonLine(isReady);
  return Object.assign(penstock, {
    adminUrl: `http://${(ready["admin"] as string[])[0]}`,
    syncAddress: (ready["sync"] as string[])[0]!,
  });
}

/** Of the admin and of the sync port, for one that is to take the place of this. */
export function portsOf({ adminUrl, syncAddress }: ControlPlaneProcess): [number, number] {
  return [Number(new URL(adminUrl).port), Number(syncAddress.split(":").at(-1))];
}

export interface DataPlaneProcess extends RunningProcess {
  readonly proxyUrl: string;
  readonly proxyPort: number;
  /** 0 unless a port was asked for (PENSTOCK_PROXY_TLS_LISTEN). */
  readonly proxyTlsPort: number;
  readonly statusUrl: string;
}

/** Starts `penstock data-plane` on free ports (or the given ones) and waits until it listens. */
export async function startDataPlane(
  controlPlane: string,
  options: {
    stateDir?: string;
    proxyPort?: number;
    workers?: number;
    hostsFile?: string;
    env?: Record<string, string>;
    descriptorLimit?: number;
  } = {},
): Promise<DataPlaneProcess> {
  const env = {
    PENSTOCK_STATE_DIR: options.stateDir ?? temporaryFolder(),
    PENSTOCK_CONTROL_PLANE: controlPlane,
    PENSTOCK_PROXY_LISTEN: `127.0.0.1:${options.proxyPort ?? 0}`,
    PENSTOCK_PROXY_TLS_LISTEN: "off",
    PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    PENSTOCK_WORKERS: String(options.workers ?? 2),
    ...(options.hostsFile === undefined ? {} : { PENSTOCK_HOSTS_FILE: options.hostsFile }),
    ...options.env,
  };
  const penstock = runPenstock(["data-plane"], env, options.descriptorLimit);
  const ready = await penstock.jsonLine(isReady);
  const proxy = (ready["proxy"] as string[])[0]!;
  const proxyTls = (ready["proxy_tls"] as string[])[0] ?? ":0";
  return Object.assign(penstock, {
    proxyUrl: `http://${proxy}`,
    proxyPort: Number(proxy.slice(proxy.lastIndexOf(":") + 1)),
    proxyTlsPort: Number(proxyTls.slice(proxyTls.lastIndexOf(":") + 1)),
    statusUrl: `http://${(ready["status"] as string[])[0]}`,
  });
}

/** Waits until the data plane's workers serve at least the revision. */
export async function appliedRevision(dataPlane: RunningProcess, revision: number): Promise<void> {
  await dataPlane.jsonLine((line) => line["msg"] === "applied" && (line["revision"] as number) >= revision);
}

export interface EchoTargetProcess extends RunningProcess {
  readonly name: string;
  readonly port: number;
}

/** Starts an echo target as a process of its own, so that it can be killed and stopped. */
export async function startEchoTargetProcess(name: string, port = 0): Promise<EchoTargetProcess> {
  const target = runProcess(process.execPath, [
    join(repositoryRoot, "test/support/echo-target.ts"),
    name,
    String(port),
  ]);
  onTestFinished(async () => {
    await target.stop("SIGKILL");
  });
  const line = await target.jsonLine((parsed) => parsed["name"] === name);
  return Object.assign(target, { name, port: line["port"] as number });
}
