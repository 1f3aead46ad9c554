import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCertificate } from "../test/support/certificates.ts";

const entry = fileURLToPath(new URL("../test/support/run-control-plane.ts", import.meta.url));
const freePorts = ["--admin-listen", "127.0.0.1:0", "--sync-listen", "127.0.0.1:0"];

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-main-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

function run(...argv: string[]) {
  const child = spawn(process.execPath, [entry, "--state-dir", folder, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] },
  });
  children.push(child);
  const exited = once(child, "exit").then(([code]) => code as number | null);
  return { child, exited, stderr: text(child.stderr) };
}

interface Ready {
  readonly admin: readonly string[];
  readonly sync: readonly string[];
}

async function start(...argv: string[]) {
  const started = run(...freePorts, ...argv);
  const messages: string[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<Ready>();
  createInterface(started.child.stdout).on("line", (line) => {
    const entry = JSON.parse(line);
    messages.push(entry.msg);
    if (entry.msg === "ready") resolve(entry);
  });
  const failed = started.exited.then(async (code) => {
    throw new Error(`exit ${code}: ${await started.stderr}`);
  });
  return { ...started, messages, ...(await Promise.race([ready, failed])) };
}

const post = (address: string, path: string, body: object) =>
  fetch(`http://${address}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

describe("main", () => {
  it("serves both faces and keeps what was written over a restart", async () => {
    const first = await start();
    expect(first.admin[0]).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(first.sync[0]).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(statSync(join(folder, "control-plane")).mode & 0o777).toBe(0o700);
    const created = await post(first.admin[0]!, "/services", { name: "s1", host: "example.com" });
    expect(created.status).toBe(201);
    const identity = (await (await fetch(`http://${first.admin[0]}/`)).json()) as { node_id: string };
    first.child.kill(process.platform === "win32" ? "SIGTERM" : "SIGHUP");
    expect(await first.exited).toBe(0);
    expect(await first.stderr).toBe("");
    expect(first.messages.slice(-2)).toEqual(["closing", "closed"]);
    const second = await start();
    const rpc = "/penstock.admin.v1.ServicesAPI/GetService";
    const read = (await (await post(second.admin[0]!, rpc, { idOrName: "s1" })).json()) as { service: object };
    expect(read.service).toMatchObject({ name: "s1", host: "example.com" });
    const again = (await (await fetch(`http://${second.admin[0]}/`)).json()) as { node_id: string };
    expect(again.node_id).toBe(identity.node_id);
  });

  it("tells a watcher that it closes, and exits soon", async () => {
    const { admin, child, exited } = await start();
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")]);
    const headers = { "content-type": "application/connect+json" };
    await post(admin[0]!, "/upstreams", { name: "u1" });
    const url = `http://${admin[0]}/penstock.admin.v1.UpstreamsAPI/WatchUpstreams`;
    const watch = await fetch(url, { method: "POST", headers, body });
    child.kill("SIGINT");
    expect(await watch.text()).toMatch(/"code":"unavailable"/);
    expect(await exited).toBe(0);
  });

  it("says everything that is wrong with its options, and exits with 2", async () => {
    const { exited, stderr } = run("--admin-listen", "0.0.0.0:8001", "--store", "postgres://h/d", "--nope");
    expect(await exited).toBe(2);
    const lines = (await stderr).trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/^penstock control-plane: /);
  });

  it("prints its help", async () => {
    const { child, exited } = run("--help");
    expect(await text(child.stdout!)).toMatch(/PENSTOCK_ADMIN_LISTEN/);
    expect(await exited).toBe(0);
  });

  it("names the process that has the state folder, and exits with 2", async () => {
    const owner = await start();
    const { exited, stderr } = run(...freePorts);
    expect(await exited).toBe(2);
    expect(await stderr).toMatch(new RegExp(`^penstock control-plane: .* process ${owner.child.pid}\n$`));
  });

  it.each(["--admin-listen", "--sync-listen"])("says that the port of %s is in use, and exits with 2", async (flag) => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    const { exited, stderr } = run(...freePorts, flag, `127.0.0.1:${port}`);
    expect(await exited).toBe(2);
    expect(await stderr).toMatch(
      new RegExp(`cannot listen on 127.0.0.1:${port}: the port is in use by another process\n$`),
    );
    other.close();
  });

  it.each([
    ["a file in the place of the folder", () => writeFileSync(join(folder, "control-plane"), "")],
    [
      "a file that is no database",
      () => {
        mkdirSync(join(folder, "control-plane"));
        writeFileSync(join(folder, "control-plane", "store.db"), "x".repeat(5000));
      },
    ],
  ])("cannot use %s, and exits with 2", async (_name, spoil) => {
    spoil();
    const { exited, stderr } = run(...freePorts);
    expect(await exited).toBe(2);
    expect((await stderr).trimEnd().split("\n")).toEqual([expect.stringMatching(/cannot be used: /)]);
  });

  it("does not start without the key of its secrets, and has lost nothing", async () => {
    const first = await start();
    const { certPem, keyPem } = await makeCertificate({ names: ["a.test"] });
    const body = { cert: certPem, key: keyPem, snis: ["a.test"] };
    expect((await post(first.admin[0]!, "/certificates", body)).status).toBe(201);
    first.child.kill("SIGTERM");
    await first.exited;
    const [keyFile, away] = [join(folder, "control-plane", "secret.key"), join(folder, "away.key")];
    renameSync(keyFile, away);
    const { exited, stderr } = run(...freePorts);
    expect(await exited).toBe(2);
    expect(await stderr).toMatch(/^penstock control-plane: .* is missing: .*secret\.key\n$/);
    const second = await start("--secret-key-file", away);
    const read = await (await fetch(`http://${second.admin[0]}/certificates/a.test`)).json();
    expect(read).toMatchObject({ key: keyPem });
  });

  it("exits at once at the second signal", async () => {
    const { admin, child, exited, messages } = await start();
    // A request that never ends keeps the first signal waiting.
    const [host, port] = admin[0]!.split(":");
    const stuck = connect(Number(port), host);
    stuck.write("POST /services HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n");
    expect(String((await once(stuck, "data"))[0])).toMatch(/^HTTP\/1.1 100 /);
    child.kill("SIGTERM");
    await expect.poll(() => messages).toContain("closing");
    child.kill("SIGTERM");
    expect(await exited).toBe(1);
    stuck.destroy();
  });
});
