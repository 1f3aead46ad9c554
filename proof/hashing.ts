/**
 * Consistent hashing by a header over two data planes with ten targets: each of 10,000 keys goes to the same target on
 * both, and still does after one of them was killed and started anew.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminOk } from "../test/support/admin-client.ts";
import { startProofDataPlane, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const keyCount = 10_000;
const targetCount = 10;
const connectionCount = 16;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const servers = await Promise.all(Array.from({ length: targetCount }, (_, i) => listen(`t${i}`)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  const planes = await startProofPlanes(ports, { PENSTOCK_WORKERS: "2" });
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const secondEnv = { PENSTOCK_STATE_DIR: folder, PENSTOCK_CONTROL_PLANE: planes.syncAddress, PENSTOCK_WORKERS: "2" };
  let second = await startProofDataPlane(secondEnv);
  try {
    const hashing = { algorithm: "consistent-hashing", hash_on: "header", hash_on_header: "X-Key" };
    await adminOk(planes.adminUrl, "PATCH", "/upstreams/proof?wait=applied&timeout=10s", hashing);
    const first = await targetsOfKeys(planes.proxyPort);
    progress("every key was asked for at the first node");
    const other = await targetsOfKeys(second.proxyPort);
    await second.process.stop("SIGKILL");
    second = await startProofDataPlane(secondEnv);
    const again = await targetsOfKeys(second.proxyPort);
    const differences = (those: readonly string[]) => those.filter((name, key) => name !== first[key]).length;
    const shares = new Map<string, number>();
    for (const name of first) shares.set(name, (shares.get(name) ?? 0) + 1);
    const evenly = keyCount / targetCount;
    const farthest = Math.max(...[...shares.values()].map((count) => Math.abs(count / evenly - 1)));
    return [
      { name: "keys at another target on the second node", value: differences(other), unit: "keys", atMost: 0 },
      { name: "keys at another target after a restart", value: differences(again), unit: "keys", atMost: 0 },
      { name: "targets without a key", value: targetCount - shares.size, unit: "targets", atMost: 0 },
      // Of the slots it is at most 10 %, by test; of keys chance adds its own.
      {
        name: "the farthest from an even share of the keys",
        value: Math.round(farthest * 1_000) / 10,
        unit: "%",
        atMost: null,
      },
    ];
  } finally {
    await second.process.stop("SIGKILL");
    await planes.stop();
    rmSync(folder, { recursive: true, force: true });
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}

/** Which target answers for each key. */
async function targetsOfKeys(port: number): Promise<readonly string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionCount });
  const names: string[] = [];
  let next = 0;
  const takeTurns = async () => {
    while (next < keyCount) {
      const key = next++;
      names[key] = await targetOfKey(agent, port, key);
    }
  };
  await Promise.all(Array.from({ length: connectionCount }, takeTurns));
  agent.destroy();
  return names;
}

function targetOfKey(agent: Agent, port: number, key: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, agent, path: "/p/x", headers: { "x-key": `key-${key}` } }, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.headers["x-target"] ?? `status ${response.statusCode}`)));
    });
    asked.on("error", reject);
    asked.end();
  });
}

async function listen(name: string): Promise<Server> {
  const server = createServer((_, response) => void response.setHeader("x-target", name).end("ok"));
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
