import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adminOk } from "../support/admin-client.ts";
import { makeCertificate } from "../support/certificates.ts";
import type { RunningProcess } from "../support/child-process.ts";
import {
  type ControlPlaneProcess,
  type DataPlaneProcess,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

const applied = "?wait=applied&timeout=20s";

async function makeToken(controlPlane: ControlPlaneProcess, ...args: string[]): Promise<string> {
  const command = runPenstock(["node", "token", ...args], { PENSTOCK_ADMIN: controlPlane.adminUrl });
  expect(await command.ended).toBe(0);
  return command.lines.find((line) => line.startsWith("pst1."))!;
}

/** A data plane that has joined with a label. */
async function startIn(zone: string, controlPlane: ControlPlaneProcess, stateDir: string, ...args: string[]) {
  const token = await makeToken(controlPlane, "--label", `zone=${zone}`, ...args);
  const env = { PENSTOCK_JOIN_TOKEN: token, PENSTOCK_LABELS: "zone=everywhere" };
  const dataPlane = await startDataPlane(controlPlane.syncAddress, { stateDir, env });
  await dataPlane.jsonLine((line) => line["msg"] === "connected to the control plane");
  return dataPlane;
}

const statuses = async (dataPlane: DataPlaneProcess, ...paths: string[]) => {
  const answers: number[] = [];
  for (const path of paths) answers.push((await getFresh(dataPlane.proxyPort, path)).status);
  return answers;
};

const appliedCount = ({ lines }: RunningProcess) => lines.filter((line) => line.includes('"snapshot applied"')).length;

/** The zones whose private keys lie in what a data plane keeps. */
function keysIn(stateDir: string, keys: ReadonlyMap<string, string>): string[] {
  const kept = readFileSync(join(stateDir, "data-plane", "snapshot", "snapshot.current"));
  return [...keys].filter(([, key]) => kept.includes(key.split("\n")[1]!)).map(([zone]) => zone);
}

describe("S25: subsets", () => {
  it("bring each node the routes of its labels with what they need, and nothing of what changes elsewhere", async () => {
    const controlPlane = await startControlPlane({ env: { PENSTOCK_SYNC_TLS: "on" } });
    const { adminUrl } = controlPlane;
    const folders = { eu: temporaryFolder(), us: temporaryFolder() };
    const [eu, us] = [await startIn("eu", controlPlane, folders.eu), await startIn("us", controlPlane, folders.us)];
    const target = await startEchoTargetProcess("t");
    const keys = new Map<string, string>();
    for (const zone of ["eu", "us"]) {
      await adminOk(adminUrl, "POST", `/upstreams${applied}`, { name: `of-${zone}` });
      await adminOk(adminUrl, "POST", `/upstreams/of-${zone}/targets${applied}`, {
        target: `127.0.0.1:${target.port}`,
      });
      await adminOk(adminUrl, "POST", `/services${applied}`, { name: zone, host: `of-${zone}` });
      const route = { name: zone, paths: [`/${zone}`], hosts: [`${zone}.test`, "localhost"] };
      await adminOk(adminUrl, "POST", `/services/${zone}/routes${applied}`, {
        ...route,
        node_selector: [`zone=${zone}`],
      });
      const { certPem: cert, keyPem: key } = await makeCertificate({ names: [`${zone}.test`] });
      keys.set(zone, key);
      const pair = { cert, key, snis: [`${zone}.test`] };
      await adminOk(adminUrl, "POST", `/certificates${applied}`, pair);
    }
    expect(await statuses(eu, "/eu/x", "/us/x")).toEqual([200, 404]);
    expect(await statuses(us, "/eu/x", "/us/x")).toEqual([404, 200]);
    const euCount = appliedCount(eu);
    const written = await adminOk(adminUrl, "PATCH", `/upstreams/of-us${applied}`, { slots: 500 });
    expect(written.headers.get("penstock-applied")).toBe("2/2");
    expect(appliedCount(eu)).toBe(euCount);
    const status = (await (await fetch(`${eu.statusUrl}/status`)).json()) as { control_plane: { stale: boolean } };
    expect(status.control_plane.stale).toBe(false);
    const { data } = (await adminOk(adminUrl, "GET", "/clustering/data-planes")).body;
    expect(data.map(({ lag }: { lag: number }) => lag)).toEqual([0, 0]);

    // The same node with other labels: what it had goes, also over its restart.
    const [node] = data.filter(({ joined_labels }: { joined_labels: { zone: string } }) => joined_labels.zone === "eu");
    await eu.stop();
    expect(keysIn(folders.eu, keys)).toEqual(["eu"]);
    const moved = await startIn("us", controlPlane, folders.eu, "--node-id", node.id);
    await adminOk(adminUrl, "PATCH", `/upstreams/of-us${applied}`, { slots: 600 });
    expect(await statuses(moved, "/eu/x", "/us/x")).toEqual([404, 200]);
    await moved.stop();
    expect(keysIn(folders.eu, keys)).toEqual(["us"]);
  });
});
