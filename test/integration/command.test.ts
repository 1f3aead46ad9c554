import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  isRunning,
  runPenstock,
  startControlPlane,
  startDataPlane,
  temporaryFolder,
} from "../support/penstock-processes.ts";

/** A port that is taken until the test is over. */
function takenPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    onTestFinished(() => {
      server.close();
    });
  });
}

const planes = ["control-plane", "data-plane"] as const;

describe("penstock", () => {
  it.each(["", ...planes])("%s --help lists every flag with its environment name and default", async (plane) => {
    const penstock = runPenstock([...(plane === "" ? [] : [plane]), "--help"]);
    expect(await penstock.ended).toBe(0);
    const help = penstock.lines.join("\n");
    const own = {
      "": ["PENSTOCK_STATE_DIR"],
      "control-plane": ["PENSTOCK_ADMIN_LISTEN", "PENSTOCK_SYNC_LISTEN", "PENSTOCK_STORE", "127.0.0.1:8001"],
      "data-plane": [
        "PENSTOCK_CONTROL_PLANE",
        "PENSTOCK_PROXY_LISTEN",
        "PENSTOCK_STATUS_LISTEN",
        "PENSTOCK_NODE_ID",
        "PENSTOCK_LABELS",
        "PENSTOCK_WORKERS",
        "PENSTOCK_ACCEPT",
        "PENSTOCK_HOSTS_FILE",
        "0.0.0.0:8000",
      ],
    };
    for (const name of own[plane as keyof typeof own]) expect(help).toContain(name);
  });

  it("says its version", async () => {
    const penstock = runPenstock(["--version"]);
    expect(await penstock.ended).toBe(0);
    expect(penstock.lines.join("")).toMatch(/^\d+\.\d+\.\d+/);
  });

  it.each([
    { name: "an unknown plane", args: ["data-plan"], says: /data-plan/ },
    { name: "an unknown flag", args: ["control-plane", "--admin-lisen=x"], says: /admin-lisen/ },
    {
      name: "an address without port",
      args: ["control-plane", "--admin-listen", "127.0.0.1"],
      says: /admin-listen|ADMIN_LISTEN/i,
    },
    {
      name: "a port out of range",
      args: ["data-plane", "--proxy-listen", "127.0.0.1:70000"],
      says: /proxy-listen|PROXY_LISTEN/i,
    },
    { name: "no workers", args: ["data-plane", "--workers", "0"], says: /workers/i },
    {
      name: "a foreign bind without --insecure",
      args: ["control-plane", "--admin-listen", "0.0.0.0:0"],
      says: /--insecure/,
    },
    { name: "a store that is not built yet", args: ["control-plane", "--store", "postgres://x"], says: /postgres/i },
  ])("refuses $name with one line and exit 2", async ({ args, says }) => {
    const penstock = runPenstock(args, { PENSTOCK_STATE_DIR: temporaryFolder() });
    expect(await penstock.ended).toBe(2);
    const said = penstock.lines.filter((line) => line !== "");
    expect(said.join("\n")).toMatch(says);
    expect(said).toHaveLength(1);
  });

  it("tells all problems at once", async () => {
    const penstock = runPenstock(["data-plane", "--workers", "x", "--proxy-listen", "nowhere", "--labels", "=,"]);
    expect(await penstock.ended).toBe(2);
    expect(penstock.lines).toHaveLength(3);
  });

  it("refuses a taken admin port and a taken proxy port with one line and exit 2", async () => {
    const port = await takenPort();
    const free = {
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    };
    const controlPlane = runPenstock(["control-plane"], { ...free, PENSTOCK_ADMIN_LISTEN: `127.0.0.1:${port}` });
    expect(await controlPlane.ended).toBe(2);
    expect(controlPlane.lines.join("\n")).toContain(String(port));
    const dataPlane = runPenstock(["data-plane"], { ...free, PENSTOCK_PROXY_LISTEN: `127.0.0.1:${port}` });
    expect(await dataPlane.ended).toBe(2);
    expect(dataPlane.lines.join("\n")).toContain(String(port));
  });

  it("does not share a proxy port with another data plane by accident", async () => {
    const first = await startDataPlane("127.0.0.1:1");
    const second = runPenstock(["data-plane"], {
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_PROXY_LISTEN: `127.0.0.1:${first.proxyPort}`,
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    });
    expect(await second.ended).toBe(2);
    expect(second.lines.join("\n")).toContain(String(first.proxyPort));
  });

  it("refuses a state folder that another process holds, names the owner, and takes it after kill -9", async () => {
    const stateDir = temporaryFolder();
    const owner = await startControlPlane({ stateDir });
    const second = runPenstock(["control-plane"], {
      PENSTOCK_STATE_DIR: stateDir,
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    });
    expect(await second.ended).toBe(2);
    expect(second.lines.join("\n")).toContain(String(owner.pid));

    const nodeOwner = await startDataPlane(owner.syncAddress, { stateDir });
    const secondNode = runPenstock(["data-plane"], {
      PENSTOCK_STATE_DIR: stateDir,
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    });
    expect(await secondNode.ended).toBe(2);
    expect(secondNode.lines.join("\n")).toContain(String(nodeOwner.pid));

    await owner.stop("SIGKILL");
    await startControlPlane({ stateDir });
  });

  it("refuses a state folder that it cannot use with one line and exit 2", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const onFile = runPenstock(["control-plane"], {
      PENSTOCK_STATE_DIR: join(file, "state"),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    });
    expect(await onFile.ended).toBe(2);
    expect(onFile.lines).toHaveLength(1);

    const stateDir = temporaryFolder();
    mkdirSync(join(stateDir, "control-plane"), { mode: 0o700 });
    writeFileSync(join(stateDir, "control-plane", "store.db"), "this is not a database ".repeat(500));
    const broken = runPenstock(["control-plane"], {
      PENSTOCK_STATE_DIR: stateDir,
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    });
    expect(await broken.ended).toBe(2);
    expect(broken.lines.filter((line) => line !== "")).toHaveLength(1);
  });

  it("ends with 0 on SIGTERM, both planes", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    expect(await dataPlane.stop("SIGTERM")).toBe(0);
    expect(await controlPlane.stop("SIGTERM")).toBe(0);
  });

  it("takes its data plane with it when it is killed", async () => {
    const penstock = runPenstock([], {
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      PENSTOCK_LOG_LEVEL: "info",
    });
    const ready = await penstock.jsonLine((line) => line["msg"] === "penstock is ready");
    // The pipes of stdout stay open as long as the child lives, so that the end below is the end of both.
    expect(ready["pids"]).toHaveLength(2);
    await penstock.stop("SIGKILL");
    // A process closes its pipes a moment before it is gone.
    for (const pid of ready["pids"] as number[]) await vi.waitFor(() => expect(isRunning(pid)).toBe(false), 10_000);
  });
});
