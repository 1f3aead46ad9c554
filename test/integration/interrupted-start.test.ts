import { describe, expect, it, vi } from "vitest";
import type { RunningProcess } from "../support/child-process.ts";
import { isRunning, runPenstock, temporaryFolder } from "../support/penstock-processes.ts";

const preload = new URL("../support/hold-start-preload.mjs", import.meta.url).href;

/** Both planes, of which a part never starts. */
function runHeld(held: "store" | "data-plane" | "further-data-plane"): RunningProcess {
  return runPenstock([], {
    PENSTOCK_STATE_DIR: temporaryFolder(),
    PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
    PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
    PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
    PENSTOCK_PROXY_TLS_LISTEN: "off",
    PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    NODE_OPTIONS: `--import ${preload}`,
    PENSTOCK_TEST_HOLD: held,
    PENSTOCK_LOG_LEVEL: "info",
  });
}

/** Resolves when that part has come to it, with its process's id. */
async function startHeld(held: "store" | "data-plane"): Promise<{ penstock: RunningProcess; heldPid: number }> {
  const penstock = runHeld(held);
  const { pid } = await penstock.jsonLine((line) => line["msg"] === "held");
  return { penstock, heldPid: pid as number };
}

/** What it said, for people. */
const saidBy = ({ lines }: RunningProcess) => lines.filter((line) => line !== "" && !line.startsWith("{"));

describe("penstock, interrupted while it starts", () => {
  it.each([
    { signal: "SIGINT", held: "data-plane", code: 130 },
    { signal: "SIGTERM", held: "data-plane", code: 143 },
    { signal: "SIGTERM", held: "store", code: 143 },
    { signal: "SIGHUP", held: "store", code: 129 },
  ] as const)("says so, ends with $code by $signal, and leaves no process ($held)", async ({ signal, held, code }) => {
    const { penstock, heldPid } = await startHeld(held);
    // To the first process alone, as a supervisor would.
    expect(await penstock.stop(signal)).toBe(code);
    expect(saidBy(penstock)).toEqual([`penstock: interrupted by ${signal} before it was ready`]);
    expect(isRunning(heldPid)).toBe(false);
  });

  it("takes a signal that comes twice at once, from the terminal and from npm, for one", async () => {
    const { penstock } = await startHeld("data-plane");
    penstock.child.kill("SIGINT");
    expect(await penstock.stop("SIGINT")).toBe(130);
  });

  it("starts its data plane again also where that ends before it is ready", async () => {
    const penstock = runHeld("further-data-plane");
    const { pids } = await penstock.jsonLine((line) => line["msg"] === "penstock is ready");
    const killed = [(pids as number[])[1]!];
    for (let i = 0; i < 2; i++) {
      process.kill(killed.at(-1)!, "SIGKILL");
      const next = await penstock.jsonLine((line) => line["msg"] === "held" && !killed.includes(line["pid"] as number));
      killed.push(next["pid"] as number);
    }
    await penstock.stop("SIGTERM");
    expect(killed.map(isRunning)).toEqual([false, false, false]);
  });

  it("says what ended its data plane", async () => {
    const { penstock, heldPid } = await startHeld("data-plane");
    process.kill(heldPid, "SIGKILL");
    expect(await penstock.ended).toBe(2);
    expect(saidBy(penstock)).toEqual(["penstock: the data plane was ended by SIGKILL before it was ready"]);
    await vi.waitFor(() => expect(isRunning(penstock.pid)).toBe(false));
  });
});
