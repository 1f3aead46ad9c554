import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { runProcess } from "../support/child-process.ts";
import { repositoryRoot, temporaryFolder } from "../support/penstock-processes.ts";

const installedIn = "/opt/penstock";
const planes = ["control-plane", "data-plane"] as const;
const deployFile = (name: string) => readFileSync(join(repositoryRoot, "deploy", name), "utf8");

/** The unit of a plane, as it were if this checkout lay where deploy/README.md says. */
function unitOf(plane: (typeof planes)[number]): { readonly text: string; valuesOf(key: string): string[] } {
  const text = deployFile(`penstock-${plane}.service`).replaceAll(installedIn, repositoryRoot.replace(/\/$/, ""));
  const valuesOf = (key: string) => [...text.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value!);
  return { text, valuesOf };
}

const runsUnits = process.platform === "linux" && existsSync(join(repositoryRoot, "node_modules/.bin/node"));
if (!runsUnits) console.log("skipped: the units' commands, which are those of Linux with the package's own Node");
const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!hasAnalyze) console.log("skipped: there is no systemd-analyze here to verify the units of deploy/");

describe("deploy/", () => {
  it.runIf(runsUnits).each(planes)(
    "starts the %s by its unit's command and environment, and ends it by SIGTERM",
    async (plane) => {
      const { valuesOf } = unitOf(plane);
      const [command, ...more] = valuesOf("ExecStart");
      expect(more).toEqual([]);
      const [program, ...args] = command!.split(" ");
      expect([existsSync(program!), existsSync(args[0]!)]).toEqual([true, true]);
      const unitEnv = Object.fromEntries(valuesOf("Environment").map((line) => line.split(/=(.*)/, 2)));
      // StateDirectory= makes this folder, and gives it to the unit's own user alone.
      expect(unitEnv["PENSTOCK_STATE_DIR"]).toBe(`/var/lib/${valuesOf("StateDirectory")[0]}`);
      const started = runProcess(program!, args, {
        cwd: "/",
        env: {
          ...unitEnv,
          PENSTOCK_STATE_DIR: temporaryFolder(),
          PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
          PENSTOCK_SYNC_LISTEN: "127.0.0.1:0",
          PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
          PENSTOCK_PROXY_TLS_LISTEN: "off",
          PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
          // Nobody is there: a node starts all the same.
          PENSTOCK_CONTROL_PLANE: "127.0.0.1:9",
        },
      });
      onTestFinished(async () => {
        await started.stop("SIGKILL");
      });
      await started.jsonLine(({ msg }) => msg === "ready");
      for (const reload of valuesOf("ExecReload")) {
        const [kill, ...killArgs] = reload.replace("$MAINPID", String(started.pid)).split(" ");
        execFileSync(kill!, killArgs);
        await started.jsonLine(({ msg, isDone }) => msg === "workers replaced" && isDone === true);
      }
      expect(await started.stop()).toBe(0);
    },
  );

  it.runIf(runsUnits && hasAnalyze).each(planes)(
    "has a unit for the %s that systemd has nothing to say of",
    (plane) => {
      const file = join(temporaryFolder(), `penstock-${plane}.service`);
      writeFileSync(file, unitOf(plane).text);
      const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" });
      expect([status, stdout, stderr]).toEqual([0, "", ""]);
    },
  );

  it("row 21: starts a plane again whatever has ended it, an abort too, and the data plane without end", () => {
    for (const plane of planes) {
      const { valuesOf } = unitOf(plane);
      expect(valuesOf("Restart")).toEqual(["always"]);
      // A status or a signal that systemd should leave at that would undo it.
      expect([valuesOf("RestartPreventExitStatus"), valuesOf("SuccessExitStatus")]).toEqual([[], []]);
      expect(Number(/^(\d+)ms$/.exec(valuesOf("RestartSec")[0]!)![1])).toBeLessThanOrEqual(500);
    }
    expect(unitOf("data-plane").valuesOf("StartLimitIntervalSec")).toEqual(["0"]);
  });

  it("gives the data plane longer to stop than it takes to drain by default", () => {
    const [seconds] = unitOf("data-plane").valuesOf("TimeoutStopSec");
    const help = execFileSync(process.execPath, [join(repositoryRoot, "bin/penstock.js"), "data-plane", "--help"]);
    const drainSeconds = Number(/--drain-timeout[\s\S]*?default: (\d+)s/.exec(help.toString())![1]);
    expect(Number.parseInt(seconds!, 10)).toBeGreaterThan(drainSeconds);
  });

  it("has a Containerfile that takes nothing but what is there, and starts what it has taken", () => {
    const text = deployFile("Containerfile");
    const [build, image] = text.split(/^FROM .*$/m).slice(1);
    const ignored = readFileSync(join(repositoryRoot, ".containerignore"), "utf8").split("\n");
    const copied = [...build!.matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, from]) => from!.split(" "));
    expect(copied).toContain("package-lock.json");
    for (const path of copied) expect([path, existsSync(join(repositoryRoot, path))]).toEqual([path, true]);
    const fromBuild = [...image!.matchAll(/^COPY --from=build (.+) \S+$/gm)].flatMap(([, from]) => from!.split(" "));
    const names = fromBuild.map((path) => path.slice("/build/".length));
    expect(names.sort()).toEqual(["LICENSE", "bin", "dist", "node_modules", "package.json"]);
    for (const name of names) expect([name, existsSync(join(repositoryRoot, name))]).toEqual([name, true]);
    // What the image makes itself must not come from here; what it takes must come.
    expect(ignored).toEqual(expect.arrayContaining(["node_modules", "dist"]));
    const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(image!)![1]!) as string[];
    expect(entry).toEqual(["node", `${installedIn}/bin/penstock.js`]);
    const { engines } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as {
      engines: { node: string };
    };
    const major = /^FROM docker\.io\/library\/node:(\d+)/m.exec(text)![1];
    expect(engines.node).toMatch(new RegExp(`^>=${major}\\.`));
  });
});
