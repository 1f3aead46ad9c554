import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { decodeSnapshotBytes } from "../../data-plane/snapshot/snapshot-bytes.ts";
import { ConfigAPI } from "../../proto/gen/penstock/admin/v1/config_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

/** A control plane with one route to a target, and what it exports. */
async function startExported() {
  const target = await startEchoTargetProcess("t1");
  const controlPlane = await startControlPlane();
  const { adminUrl } = controlPlane;
  await createBalancedRoute(adminUrl, { name: "kept", path: "/kept", targets: [`127.0.0.1:${target.port}`] });
  const answer = await fetch(`${adminUrl}/config/snapshot`);
  expect(answer.status).toBe(200);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const file = join(temporaryFolder(), "seed.snapshot");
  writeFileSync(file, bytes);
  return { controlPlane, target, bytes, file, headers: answer.headers };
}

const applied = (line: Record<string, unknown>) => line["msg"] === "applied";

describe("a data plane's first start from a seed", () => {
  it("serves what a control plane exported, without any control plane, and restarts from what it then keeps", async () => {
    const { controlPlane, file } = await startExported();
    await controlPlane.stop("SIGKILL");
    const stateDir = temporaryFolder();
    const seeded = await startDataPlane(controlPlane.syncAddress, { stateDir, env: { PENSTOCK_SEED: file } });
    await seeded.jsonLine(applied);
    expect((await getFresh(seeded.proxyPort, "/kept/x")).status).toBe(200);
    expect((await fetch(`${seeded.statusUrl}/status/ready`)).status).toBe(200);

    await expect.poll(() => modeOf(join(stateDir, "data-plane", "snapshot", "snapshot.current"))).toBe(0o600);
    await seeded.stop("SIGKILL");
    const again = await startDataPlane(controlPlane.syncAddress, { stateDir });
    await again.jsonLine(applied);
    expect((await getFresh(again.proxyPort, "/kept/x")).status).toBe(200);
  });

  it("fetches the seed from a URL, again until it is there", async () => {
    const { controlPlane, bytes } = await startExported();
    await controlPlane.stop("SIGKILL");
    let requestCount = 0;
    const asked = Promise.withResolvers<void>();
    const server = createServer((_request, response) => {
      if (++requestCount === 1) response.writeHead(503).end();
      else void asked.promise.then(() => response.end(bytes));
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    onTestFinished(() => void server.close());
    const env = { PENSTOCK_SEED: `http://127.0.0.1:${(server.address() as AddressInfo).port}/seed?signature=secret` };
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env });
    await dataPlane.jsonLine((line) => line["problem"] === "it was answered with 503");
    expect((await fetch(`${dataPlane.statusUrl}/status/ready`)).status).toBe(503);
    asked.resolve();
    await dataPlane.jsonLine(applied);
    expect((await getFresh(dataPlane.proxyPort, "/kept/x")).status).toBe(200);
    expect(requestCount).toBe(2);
    expect(dataPlane.lines.join("\n")).not.toContain("signature");
  });

  it("goes by what a control plane has from then on, and never back to the seed", async () => {
    const { controlPlane, target, file } = await startExported();
    const stateDir = temporaryFolder();
    const options = { stateDir, env: { PENSTOCK_SEED: file } };
    const first = await startDataPlane(controlPlane.syncAddress, options);
    // Of the seed it has applied before; a write waits for nodes that are connected.
    await first.jsonLine(({ msg }) => msg === "connected to the control plane");
    const targets = [`127.0.0.1:${target.port}`];
    await createBalancedRoute(controlPlane.adminUrl, { name: "later", path: "/later", targets });
    expect((await getFresh(first.proxyPort, "/later/x")).status).toBe(200);
    await first.stop();
    await controlPlane.stop("SIGKILL");

    const again = await startDataPlane(controlPlane.syncAddress, options);
    await again.jsonLine((line) => String(line["msg"]).startsWith("the seed is not used"));
    await again.jsonLine(applied);
    expect((await getFresh(again.proxyPort, "/later/x")).status).toBe(200);
  });

  it("starts without a seed that is damaged, says so, and takes what a control plane has", async () => {
    const { controlPlane, file } = await startExported();
    const bytes = readFileSync(file);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    writeFileSync(file, bytes);
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { PENSTOCK_SEED: file } });
    const line = await dataPlane.jsonLine(({ msg }) => msg === "the seed is not usable");
    expect(line["problem"]).toMatch(/cut short or damaged/);
    await dataPlane.jsonLine(applied);
    expect((await getFresh(dataPlane.proxyPort, "/kept/x")).status).toBe(200);
  });
});

describe("the export of a snapshot", () => {
  it("is the same over REST and gRPC, and readable to the last byte", async () => {
    const { controlPlane, bytes, headers } = await startExported();
    const decoded = decodeSnapshotBytes(bytes);
    if (!decoded.ok) throw new Error(decoded.problem);
    expect(decoded.snapshot.entities.map(({ kind }) => kind).sort()).toEqual([
      "route",
      "service",
      "target",
      "upstream",
    ]);
    expect(headers.get("penstock-publication")).toBe(String(decoded.snapshot.publication));
    const transport = createConnectTransport({ baseUrl: controlPlane.adminUrl, httpVersion: "1.1" });
    const parts: Uint8Array[] = [];
    for await (const { data } of createClient(ConfigAPI, transport).exportSnapshot({})) parts.push(data);
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });

  it("holds what a node with the labels that are asked for gets", async () => {
    const { controlPlane } = await startExported();
    for (const zone of ["eu", "us"])
      await adminOk(controlPlane.adminUrl, "POST", "/routes", { paths: [`/${zone}`], node_selector: [`zone=${zone}`] });
    const routesFor = async (query: string) => {
      const bytes = Buffer.from(await (await fetch(`${controlPlane.adminUrl}/config/snapshot${query}`)).arrayBuffer());
      const decoded = decodeSnapshotBytes(bytes);
      if (!decoded.ok) throw new Error(decoded.problem);
      const routes = decoded.snapshot.entities.filter(({ kind }) => kind === "route");
      return routes.flatMap(({ body }) => fromBinary(RouteSchema, body).paths).sort();
    };
    expect(await routesFor("")).toEqual(["/kept"]);
    expect(await routesFor("?label=zone=eu")).toEqual(["/eu", "/kept"]);
    expect(await routesFor("?label=tier=edge&label=zone=us")).toEqual(["/kept", "/us"]);
    const bad = await fetch(`${controlPlane.adminUrl}/config/snapshot?label=zone`);
    expect([bad.status, await bad.json()]).toEqual([400, { message: "label: 'zone' is not key=value" }]);
    const transport = createConnectTransport({ baseUrl: controlPlane.adminUrl, httpVersion: "1.1" });
    const parts: Uint8Array[] = [];
    const labels = { zone: "eu" };
    for await (const { data } of createClient(ConfigAPI, transport).exportSnapshot({ labels })) parts.push(data);
    const decoded = decodeSnapshotBytes(Buffer.concat(parts));
    expect(decoded.ok && decoded.snapshot.entities.filter(({ kind }) => kind === "route")).toHaveLength(2);
  });

  it("is for callers on this machine only", async () => {
    const { controlPlane } = await startExported();
    const headers = { "x-forwarded-for": "192.0.2.1" };
    const answer = await fetch(`${controlPlane.adminUrl}/config/snapshot`, { headers });
    expect(answer.status).toBe(403);
    expect(await answer.json()).toEqual({ message: expect.stringContaining("private keys") });
    const transport = createConnectTransport({ baseUrl: controlPlane.adminUrl, httpVersion: "1.1" });
    const refused = createClient(ConfigAPI, transport).exportSnapshot({}, { headers })[Symbol.asyncIterator]().next();
    await expect(refused).rejects.toThrow(/permission_denied/);
  });
});

function modeOf(file: string): number | null {
  return (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o777 || null;
}
