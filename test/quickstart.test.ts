import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { pageCommands, type Walkthrough } from "./support/page-walkthrough.ts";

const walkthroughFile = join(import.meta.dirname, "support/page-walkthrough.ts");

/** A namespace in which the page's own ports and names are free to take; null where the kernel refuses one. */
function inNamespace(): Walkthrough | null {
  const trial = spawnSync("unshare", ["-rnm", "ip", "link", "set", "lo", "up"], { encoding: "utf8" });
  if (trial.status !== 0) {
    console.log(
      `quickstart: no namespace here (${(trial.stderr ?? "unshare is missing").trim()}); the same commands run on free ports`,
    );
    return null;
  }
  return run("unshare", ["-rnm", process.execPath, walkthroughFile, "namespace"]);
}

function run(command: string, args: string[]): Walkthrough {
  const ran = spawnSync(command, args, { encoding: "utf8", timeout: 120_000 });
  if (ran.status !== 0)
    throw new Error(`the walkthrough failed (${ran.status ?? ran.signal}):\n${ran.stdout}\n${ran.stderr}`);
  return JSON.parse(ran.stdout.trim().split("\n").at(-1)!) as Walkthrough;
}

describe("the getting-started page", () => {
  let seen: Walkthrough;
  beforeAll(() => {
    seen = inNamespace() ?? run(process.execPath, [walkthroughFile, "ports"]);
  }, 150_000);

  it("runs as two processes, a control plane and a data plane", () => {
    expect(seen.processCount).toBe(2);
    if (seen.v8ThreadCount === null) console.log("skipped: how many threads V8 has is told by Linux alone");
    else expect(seen.v8ThreadCount).toBe(Math.max(1, availableParallelism() - 1));
  });

  it("creates the service and the route", () => {
    expect(seen.outputs[0]).toMatch(/^HTTP\/1\.1 201 Created\r\n/);
    expect(seen.outputs[0]).toContain('"host":"httpbun.com"');
    expect(seen.outputs[1]).toContain("HTTP/1.1 201 Created\r\n");
    expect(seen.outputs[1]).toContain('"paths":["/mock"]');
  });

  it("proxies to the service's own host as soon as the write has returned", () => {
    expect(seen.outputs[2]).toMatch(/"host": "httpbun\.com(:\d+)?"/i);
    expect(seen.outputs[2]).toContain('"url": "/headers"');
  });

  it("creates the upstream and its targets, and points the service at it", () => {
    expect(seen.outputs[3]).toContain('"name":"example_upstream"');
    expect(seen.outputs[4]).toMatch(/"target":"httpbun\.com:\d+"/);
    expect(seen.outputs[5]).toMatch(/"target":"httpbin\.konghq\.com:\d+"/);
    expect(seen.outputs[6]).toContain('"host":"example_upstream"');
  });

  it("shows one of the two targets to the page's last command", () => {
    expect(pageCommands.at(-1)).toContain("grep");
    expect(seen.outputs[7]).toMatch(/"host": "(httpbun\.com|httpbin\.konghq\.com)(:\d+)?"/i);
  });

  it("alternates between the two targets", () => {
    const names = seen.hosts.map((host) => host.split(":")[0]);
    expect(new Set(names)).toEqual(new Set(["httpbun.com", "httpbin.konghq.com"]));
    for (let i = 1; i < names.length; i++) expect(names[i]).not.toBe(names[i - 1]);
  });

  it("answers every request after one of the servers was killed", () => {
    expect(seen.statusesAfterKill).toEqual(Array.from({ length: 20 }, () => "200"));
  });
});
