import { createPrivateKey } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, it, onTestFinished } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import type { RunningProcess } from "../support/child-process.ts";
import { type NodeKeys, tlsAs } from "../support/identity-rig.ts";
import {
  type ControlPlaneProcess,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { ScriptedNode } from "../support/scripted-node.ts";

const other = "bbbbbbbb-0000-4000-8000-000000000002";

/** What `penstock node ARGS` prints. */
async function penstockNode(controlPlane: ControlPlaneProcess, ...args: string[]): Promise<readonly string[]> {
  const command = runPenstock(["node", ...args], { PENSTOCK_ADMIN: controlPlane.adminUrl });
  expect(await command.ended).toBe(0);
  return command.lines;
}

async function makeToken(controlPlane: ControlPlaneProcess, ...args: string[]): Promise<string> {
  return (await penstockNode(controlPlane, "token", ...args)).find((line) => line.startsWith("pst1."))!;
}

const securedControlPlane = () => startControlPlane({ env: { PENSTOCK_SYNC_TLS: "on" } });

const told = (process: RunningProcess, text: string) => process.jsonLine((line) => line["msg"] === text);

/** The reason why there is no stream. */
async function noStream(dataPlane: RunningProcess, reason: RegExp): Promise<void> {
  await dataPlane.jsonLine(
    (line) => line["msg"] === "no stream to the control plane" && reason.test(String(line["reason"])),
  );
}

async function nodesOf(controlPlane: ControlPlaneProcess): Promise<{ id: string; connected: boolean }[]> {
  return (await adminOk(controlPlane.adminUrl, "GET", "/clustering/data-planes")).body.data;
}

function keysIn(stateDir: string): NodeKeys {
  const folder = join(stateDir, "data-plane", "identity");
  const { certificate, authority } = JSON.parse(readFileSync(join(folder, "identity.json"), "utf8"));
  return { key: createPrivateKey(readFileSync(join(folder, "key.pem"))), cert: certificate, authority };
}

describe("data planes with an identity", () => {
  it("joins by a token, serves, comes back without it, and is cut off when it is revoked", async () => {
    const controlPlane = await securedControlPlane();
    const stateDir = temporaryFolder();
    const token = await makeToken(controlPlane, "--label", "zone=eu", "--ttl", "10m");
    const first = await startDataPlane(controlPlane.syncAddress, { stateDir, env: { PENSTOCK_JOIN_TOKEN: token } });
    await told(first, "connected to the control plane");
    const target = await startEchoTargetProcess("t1");
    const targets = [`127.0.0.1:${target.port}`];
    await createBalancedRoute(controlPlane.adminUrl, { name: "joined", path: "/joined", targets });
    expect((await getFresh(first.proxyPort, "/joined/x")).status).toBe(200);
    const [node] = await nodesOf(controlPlane);
    expect(node).toMatchObject({ connected: true, joined_labels: { zone: "eu" }, revoked_at: null });
    expect(node).toMatchObject({ cert_details: { spiffe_id: `spiffe://penstock/node/${node!.id}` } });

    await first.stop();
    const again = await startDataPlane(controlPlane.syncAddress, { stateDir });
    await told(again, "connected to the control plane");
    expect(await (await fetch(`${again.statusUrl}/status`)).json()).toMatchObject({
      identity: { type: "joined", problem: null },
    });

    await penstockNode(controlPlane, "revoke", node!.id, "--reason", "stolen");
    await noStream(again, /was revoked at .*: stolen/);
    expect(await nodesOf(controlPlane)).toMatchObject([{ connected: false, revoked_reason: "stolen" }]);
    expect((await getFresh(again.proxyPort, "/joined/x")).status).toBe(200);
    const state = await (await fetch(`${again.statusUrl}/status`)).json();
    expect(state).toMatchObject({ ready: true, control_plane: { problem: expect.stringContaining("stolen") } });
    expect((await penstockNode(controlPlane, "refusals")).join("\n")).toContain(
      `${node!.id}  node ${node!.id} was revoked`,
    );

    const pardon = await makeToken(controlPlane, "--node-id", node!.id);
    await again.stop();
    const pardoned = await startDataPlane(controlPlane.syncAddress, { stateDir, env: { PENSTOCK_JOIN_TOKEN: pardon } });
    await told(pardoned, "connected to the control plane");
  });

  it("refuses a token that was used or is of another control plane, and who speaks without TLS", async () => {
    const [controlPlane, foreign] = await Promise.all([securedControlPlane(), securedControlPlane()]);
    const token = await makeToken(controlPlane);
    const env = { PENSTOCK_JOIN_TOKEN: token };
    const joined = await startDataPlane(controlPlane.syncAddress, { env });
    await told(joined, "connected to the control plane");
    const late = await startDataPlane(controlPlane.syncAddress, { env });
    const refused = await told(late, "this node could not join");
    expect(refused["reason"]).toContain("the join token was used already, by node ");
    const lost = await startDataPlane(foreign.syncAddress, {
      env: { PENSTOCK_JOIN_TOKEN: await makeToken(controlPlane) },
    });
    expect((await told(lost, "this node could not join"))["reason"]).toContain("its authority has another digest");
    const plain = await startDataPlane(controlPlane.syncAddress);
    await noStream(plain, /takes TLS only: give the node a join token/);
    // Each of them runs on, and says what is wrong.
    for (const node of [late, lost, plain]) {
      const { identity, control_plane: sync } = (await (await fetch(`${node.statusUrl}/status`)).json()) as {
        identity: { problem: string } | null;
        control_plane: { problem: string };
      };
      expect(identity?.problem ?? sync.problem).toMatch(/used already|another digest|TLS only/);
    }
    const refusals = (await adminOk(controlPlane.adminUrl, "GET", "/node-refusals")).body.data;
    expect(refusals.map(({ action }: { action: string }) => action).sort()).toEqual(["connect", "join"]);
    await controlPlane.jsonLine(({ msg, action }) => msg === "a node was refused" && action === "join");
  });

  it("lets a thief with a node's certificate be nobody else", async () => {
    const controlPlane = await securedControlPlane();
    const stateDir = temporaryFolder();
    const env = { PENSTOCK_JOIN_TOKEN: await makeToken(controlPlane) };
    const joined = await startDataPlane(controlPlane.syncAddress, { stateDir, env });
    await told(joined, "connected to the control plane");
    const thief = new ScriptedNode(controlPlane.syncAddress, tlsAs(keysIn(stateDir)));
    onTestFinished(() => thief.close());
    thief.hello(other);
    expect(await thief.ended).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining(`and the hello says ${other}`),
    });
    expect(thief.unreadCount("snapshotBegin")).toBe(0);
    expect(await nodesOf(controlPlane)).toHaveLength(1);
  });

  it("takes certificates from elsewhere on both sides", async () => {
    const folder = temporaryFolder();
    const authority = await makeAuthority("Fleet CA");
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    mkdirSync(folder, { recursive: true });
    const ca = write("ca.pem", authority.certPem);
    const server = await makeCertificate({ issuer: authority, names: ["127.0.0.1"] });
    const client = await makeCertificate({ issuer: authority, commonName: other });
    const controlPlane = await startControlPlane({
      env: {
        PENSTOCK_SYNC_CERT: write("cp.pem", server.chainPem),
        PENSTOCK_SYNC_KEY: write("cp.key", server.keyPem),
        PENSTOCK_SYNC_CLIENT_CA: ca,
      },
    });
    const pair = {
      PENSTOCK_SYNC_CERT: write("dp.pem", client.chainPem),
      PENSTOCK_SYNC_KEY: write("dp.key", client.keyPem),
    };
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { ...pair, PENSTOCK_SYNC_CA: ca } });
    await told(dataPlane, "connected to the control plane");
    expect(await nodesOf(controlPlane)).toMatchObject([{ id: other, connected: true }]);
    const stranger = write("stranger.pem", (await makeAuthority("Another CA")).certPem);
    const distrusting = await startDataPlane(controlPlane.syncAddress, {
      env: { ...pair, PENSTOCK_SYNC_CA: stranger },
    });
    await noStream(distrusting, /unable to (verify|get)|self-signed/i);
  });

  it("gives the data plane of both planes together its token, where other machines reach the sync port", async () => {
    const penstock = runPenstock([], {
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0",
      PENSTOCK_SYNC_LISTEN: "0.0.0.0:0",
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_PROXY_TLS_LISTEN: "off",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      PENSTOCK_WORKERS: "1",
      PENSTOCK_LOG_LEVEL: "info",
    });
    await told(penstock, "this node has joined");
    await told(penstock, "connected to the control plane");
  });
});
