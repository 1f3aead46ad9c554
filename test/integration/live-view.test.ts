import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { admin, adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  penstockCommand,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

interface Figures {
  readonly request_count: number;
  readonly answer_count: number;
  readonly client_error_count: number;
  readonly server_error_count: number;
  readonly loss_count: number;
  readonly ejection_count: number;
  readonly in_flight: number;
}

interface Traffic {
  readonly figures: Figures;
  readonly node_count: number;
  readonly nodes: readonly { readonly node_id: string; readonly figures: Figures }[];
  readonly targets: readonly {
    readonly target: string;
    readonly health: string;
    readonly figures: Figures;
    readonly endpoints: readonly { readonly address: string; readonly nodes: Traffic["nodes"] }[];
  }[];
}

/** Two data planes before two targets. */
async function startFleet() {
  const controlPlane = await startControlPlane();
  const nodes = await Promise.all([1, 2].map(() => startDataPlane(controlPlane.syncAddress)));
  const targets = await Promise.all(["t1", "t2"].map((name) => startEchoTargetProcess(name)));
  const places = targets.map(({ port }) => `127.0.0.1:${port}`);
  const url = controlPlane.adminUrl;
  await createBalancedRoute(url, { name: "u", path: "/u", targets: places });
  return { url, nodes, targets, places };
}

/** Sends so many requests, one after the other. @returns the statuses */
async function ask({ proxyPort }: DataPlaneProcess, count: number, path = "/u/x"): Promise<ReadonlySet<number>> {
  const statuses = new Set<number>();
  for (let i = 0; i < count; i++) statuses.add((await getFresh(proxyPort, path)).status);
  return statuses;
}

async function lineOf({ lines, ended }: ReturnType<typeof runPenstock>, text: RegExp): Promise<void> {
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!lines.some((line) => text.test(line))) {
    if (isOver) throw new Error(`ended before ${text}: ${lines.join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Asks until it is so: reports arrive on their own. */
async function trafficOnce(url: string, isSo: (traffic: Traffic) => boolean): Promise<Traffic> {
  for (;;) {
    const { body } = await adminOk(url, "GET", "/upstreams/u/traffic?by_node=true");
    if (isSo(body)) return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const sum = (figures: readonly Figures[], name: keyof Figures) => figures.reduce((total, one) => total + one[name], 0);

/** A line of `penstock top --json`, as far as the tests read it. */
interface Line {
  readonly deleted: boolean;
  readonly upstreamName: string;
  readonly nodeCount: number;
  readonly figures: { readonly requestCount: string; readonly requestsPerSecond: number };
  readonly targets: readonly {
    readonly state: string;
    readonly figures: { readonly errorsPerSecond: number; readonly ejectionsLastMinute: string };
  }[];
}
const isLine = (isSo: (line: Line) => boolean) => (line: Record<string, unknown>) => isSo(line as unknown as Line);

describe("the live view of a fleet", () => {
  it("counts exactly what was sent, by node, target and endpoint", async () => {
    const { url, nodes, places } = await startFleet();
    const before = await trafficOnce(url, () => true);
    expect([before.figures.request_count, before.targets.length]).toEqual([0, 2]);
    expect(await ask(nodes[0]!, 200)).toEqual(new Set([200]));
    expect(await ask(nodes[1]!, 100)).toEqual(new Set([200]));
    expect(await ask(nodes[1]!, 20, "/u/x?status=404")).toEqual(new Set([404]));
    expect(await ask(nodes[1]!, 10, "/u/x?status=500")).toEqual(new Set([500]));
    const {
      figures,
      nodes: byNode,
      targets,
      node_count,
    } = await trafficOnce(url, (traffic) => traffic.figures.answer_count >= 330 && traffic.figures.in_flight === 0);
    expect(figures).toMatchObject({
      ...{ request_count: 330, answer_count: 330, client_error_count: 20, server_error_count: 10 },
      ...{ loss_count: 0, ejection_count: 0 },
    });
    expect(node_count).toBe(2);
    expect(byNode.map((node) => node.figures.request_count).sort((a, b) => a - b)).toEqual([130, 200]);
    // Requests alternate on each node, over both of its workers.
    expect(targets.map((target) => target.figures.request_count)).toEqual([165, 165]);
    expect(targets.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)).sort()).toEqual(
      [...places].sort(),
    );
    const ofBoth = targets.flatMap(({ endpoints }) => endpoints.flatMap((endpoint) => endpoint.nodes));
    expect(ofBoth).toHaveLength(4);
    expect(
      sum(
        ofBoth.map((one) => one.figures),
        "answer_count",
      ),
    ).toBe(330);
  });

  it("is watched: rates, a target that dies, quiet, a node that goes, the end of the upstream", async () => {
    const { url, nodes, targets, places } = await startFleet();
    const watching = runPenstock(["top", "u", "--json", "--admin", url]);
    await watching.jsonLine(isLine(({ figures }) => figures.requestCount === "0"));
    let isOver = false;
    const load = nodes.map(async (node) => {
      while (!isOver) expect(await ask(node, 5)).toEqual(new Set([200]));
    });
    await watching.jsonLine(isLine(({ figures, nodeCount }) => figures.requestsPerSecond > 0 && nodeCount === 2));
    await targets[0]!.stop("SIGKILL");
    await watching.jsonLine(
      isLine((line) =>
        line.targets.some(({ figures: { errorsPerSecond, ejectionsLastMinute }, state }) => {
          return errorsPerSecond > 0 && Number(ejectionsLastMinute) > 0 && state === "HEALTH_STATE_UNHEALTHY";
        }),
      ),
    );
    isOver = true;
    await Promise.all(load);
    await watching.jsonLine(
      isLine(({ figures }) => figures.requestsPerSecond === 0 && Number(figures.requestCount) > 0),
    );
    const dead = (traffic: Traffic) => traffic.targets.find(({ target }) => target === places[0])!;
    const after = await trafficOnce(url, (traffic) => dead(traffic).figures.ejection_count === 2);
    expect(dead(after).health).toBe("UNHEALTHY");
    // On each node: the request that met it first, and any that was under way at that moment.
    expect(dead(after).figures.loss_count).toBeGreaterThanOrEqual(2);
    expect(after.figures.answer_count + after.figures.loss_count).toBe(after.figures.request_count);
    await nodes[1]!.stop();
    await watching.jsonLine(isLine(({ nodeCount, figures }) => nodeCount === 1 && Number(figures.requestCount) > 0));
    for (const path of ["/services/u-service/routes/u-route", "/services/u-service", "/upstreams/u"])
      await adminOk(url, "DELETE", path);
    await watching.jsonLine(isLine(({ deleted }) => deleted));
    expect(await watching.stop("SIGINT")).toBe(0);
    expect((await admin(url, "GET", "/upstreams/u/traffic")).status).toBe(404);
  });

  it("forgets a target that is removed", async () => {
    const { url, nodes, places } = await startFleet();
    await ask(nodes[0]!, 10);
    await trafficOnce(url, ({ figures }) => figures.answer_count === 10);
    await adminOk(url, "DELETE", `/upstreams/u/targets/${places[0]}`);
    const left = await trafficOnce(url, ({ figures, targets }) => figures.request_count === 5 && targets.length === 1);
    expect(left.targets[0]?.target).toBe(places[1]);
  });
});

describe("penstock top", () => {
  it("shows it once, as a table and as JSON", async () => {
    const { url, nodes } = await startFleet();
    await ask(nodes[0]!, 10);
    await trafficOnce(url, ({ figures }) => figures.answer_count === 10);
    const json = runPenstock(["top", "--once", "--json", "--nodes", "--admin", url]);
    expect(await json.ended).toBe(0);
    const [told] = JSON.parse(json.lines.join("\n"));
    expect(told).toMatchObject({ upstreamName: "u", nodeCount: 1, figures: { requestCount: "10", lossCount: "0" } });
    expect([
      told.nodes.length,
      told.targets.map((target: { endpoints: unknown[] }) => target.endpoints.length),
    ]).toEqual([1, [1, 1]]);
    const table = runPenstock(["top", "u", "--once", "--sort", "p99", "--admin", url]);
    expect(await table.ended).toBe(0);
    expect(table.lines[0]).toMatch(
      /^UPSTREAM +STATE +REQ\/S +ERR\/S +ERR % +P50 MS +P99 MS +IN FLIGHT +EJECTIONS +REQUESTS$/,
    );
    expect(table.lines[1]).toMatch(/^u .* 10$/);
    expect(table.lines.slice(2).map((line) => line.trim().split(/\s+/).at(-1))).toEqual(["5", "5"]);
  });

  it("cannot show what is not there", async () => {
    const { adminUrl } = await startControlPlane();
    const run = async (...args: string[]) => {
      const command = runPenstock(["top", ...args]);
      return { code: await command.ended, line: command.lines[0] };
    };
    const unknown = { code: 2, line: 'penstock top: there is no upstream "none"' };
    expect(await run("none", "--once", "--admin", adminUrl)).toEqual(unknown);
    expect(await run("none", "--admin", adminUrl)).toEqual(unknown);
    expect(await run("--once", "--admin", adminUrl)).toEqual({ code: 0, line: "There are no upstreams." });
    const nobody = await run("--admin", "http://127.0.0.1:1");
    expect([nobody.code, nobody.line]).toEqual([2, expect.stringMatching(/127\.0\.0\.1:1: .*ECONNREFUSED/)]);
    expect(await run("--onec")).toEqual({ code: 2, line: 'penstock top: unknown option "--onec"; see --help' });
  });

  it("waits for a control plane that goes away, and shows all that there is when it is back", async () => {
    const stateDir = temporaryFolder();
    const before = await startControlPlane({ stateDir });
    const adminPort = Number(new URL(before.adminUrl).port);
    await adminOk(before.adminUrl, "POST", "/upstreams", { name: "u" });
    const watching = runPenstock(["top", "--json", "--admin", before.adminUrl]);
    const named = (name: string) => isLine(({ upstreamName }) => upstreamName === name);
    await watching.jsonLine(named("u"));
    const toldBefore = watching.lines.length;
    await before.stop("SIGKILL");
    await lineOf(watching, /^penstock top: http:.*; trying again until it answers$/);
    const once = runPenstock(["top", "--once", "--admin", before.adminUrl]);
    expect(await once.ended).toBe(2);
    const after = await startControlPlane({ stateDir, adminPort });
    await lineOf(watching, /^penstock top: http:.*: connected again$/);
    await adminOk(after.adminUrl, "POST", "/upstreams", { name: "v" });
    await watching.jsonLine(named("v"));
    expect(watching.lines.slice(toldBefore).some((line) => line.includes('"upstreamName":"u"'))).toBe(true);
    await after.stop();
    const isWarning = (line: string) => line.includes("trying again");
    while (watching.lines.filter(isWarning).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await watching.stop("SIGINT")).toBe(0);
  });

  const scriptCommand = "/usr/bin/script";
  const hasTerminal = process.platform === "linux" && existsSync(scriptCommand);
  if (!hasTerminal) console.log(`skipped: penstock top on a terminal, since there is no ${scriptCommand}`);

  it.skipIf(!hasTerminal)("draws on a terminal, and leaves it clean after Ctrl-C", async () => {
    const stateDir = temporaryFolder();
    const before = await startControlPlane({ stateDir });
    const { adminUrl } = before;
    await adminOk(adminUrl, "POST", "/upstreams", { name: "u" });
    // A shell that stayed above it would be hit by Ctrl-C too, and end by a code of its own.
    const command = `exec "${process.execPath}" "${penstockCommand}" top --admin ${adminUrl}`;
    const env = { ...process.env, NODE_OPTIONS: "", TERM: "xterm", SHELL: "/bin/sh" };
    const terminal = spawn(scriptCommand, ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"], env });
    onTestFinished(() => void terminal.kill("SIGKILL"));
    const ended = new Promise<number | null>((resolve) => terminal.once("close", resolve));
    let output = "";
    let page = "";
    let seen = () => {};
    terminal.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString();
      page += bytes.toString();
      seen();
    });
    const shows = (text: RegExp) =>
      new Promise<void>((resolve) => {
        page = "";
        seen = () => void (text.test(page) && resolve());
      });
    await shows(/upstreams: 1[\s\S]*u +not reported/);
    const saysSo = shows(/NOT CONNECTED since .*; retrying[\s\S]*u +not reported/);
    await before.stop("SIGKILL");
    await saysSo;
    const isBack = shows(/upstreams: 1[\s\S]*u +not reported/);
    await startControlPlane({ stateDir, adminPort: Number(new URL(adminUrl).port) });
    await isBack;
    expect(output.startsWith("\x1b[?1049h\x1b[?25l\x1b[H")).toBe(true);
    terminal.stdin.write("\x03");
    expect(await ended).toBe(0);
    expect(output.trimEnd().endsWith("\x1b[?25h\x1b[?1049l")).toBe(true);
  });
});
