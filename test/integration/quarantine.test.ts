import { describe, expect, it } from "vitest";
import { admin, adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

/** The quarantines once there are so many. */
async function quarantinesOnce(adminUrl: string, count: number) {
  for (;;) {
    const { body } = await adminOk(adminUrl, "GET", "/quarantines");
    if (body.data.length === count) return body.data;
  }
}

describe("quarantine, with real planes", () => {
  it("holds back the one entity that a node refuses, says so, outlives a restart, and ends when it is mended", async () => {
    const stateDir = temporaryFolder();
    const controlPlane = await startControlPlane({ stateDir });
    const { adminUrl } = controlPlane;
    const target = await startEchoTargetProcess("t1");
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const { proxyPort } = dataPlane;
    await createBalancedRoute(adminUrl, { name: "good", path: "/good", targets: [`127.0.0.1:${target.port}`] });
    expect((await getFresh(proxyPort, "/good/x")).status).toBe(200);

    // A port of the data plane's own, which no control plane can know of: it would send requests to itself.
    const own = `127.0.0.1:${proxyPort}`;
    const path = "/upstreams/good/targets?wait=applied&timeout=10s";
    const written = await adminOk(adminUrl, "POST", path, { target: own });
    const warning = written.headers.get("penstock-warning");
    expect(warning).toMatch(/^target: refused by node \S+: 127\.0\.0\.1:\d+ is a port of this node itself/);
    expect(written.headers.get("penstock-applied")).toBe("0/1");

    const [quarantine] = await quarantinesOnce(adminUrl, 1);
    expect(quarantine).toMatchObject({
      ...{ reason: "invalid_entity", field: "target", message: `${own} is a port of this node itself` },
      entities: [{ kind: "target", id: written.body.id, name: own, served: "none", depends: false }],
    });
    expect(quarantine.node_ids).toHaveLength(1);
    const read = await adminOk(adminUrl, "GET", `/upstreams/good/targets/${written.body.id}`);
    expect(read.headers.get("penstock-warning")).toMatch(/in quarantine, no node serves it/);

    // It spoils nothing: what is written next is served.
    await createBalancedRoute(adminUrl, { name: "next", path: "/next", targets: [`127.0.0.1:${target.port}`] });
    for (const way of ["/good/x", "/next/x"]) expect((await getFresh(proxyPort, way)).status).toBe(200);
    const list = runPenstock(["quarantine", "list", "--admin", adminUrl]);
    expect(await list.ended).toBe(1);
    expect(list.lines.join("\n")).toContain(`target ${written.body.id} (${own}): revision`);

    await controlPlane.stop("SIGKILL");
    const [adminPort, syncPort] = [adminUrl, controlPlane.syncAddress].map((text) => Number(text.split(":").at(-1)));
    const restarted = await startControlPlane({ stateDir, adminPort: adminPort!, syncPort: syncPort! });
    expect((await adminOk(restarted.adminUrl, "GET", "/quarantines")).body.data).toMatchObject([{ id: quarantine.id }]);
    await createBalancedRoute(adminUrl, { name: "third", path: "/third", targets: [`127.0.0.1:${target.port}`] });

    // Released by hand it goes to the node once more, which refuses it once more.
    expect((await admin(adminUrl, "DELETE", "/quarantines/none")).status).toBe(404);
    const release = runPenstock(["quarantine", "release", quarantine.id, "--admin", adminUrl]);
    expect(await release.ended).toBe(0);
    for (;;) {
      const [again] = await quarantinesOnce(adminUrl, 1);
      if (again.id !== quarantine.id) break;
    }

    const mend = `/upstreams/good/targets/${written.body.id}?wait=applied&timeout=10s`;
    const mended = await adminOk(adminUrl, "PATCH", mend, { target: `localhost:${target.port}` });
    expect(mended.headers.get("penstock-warning")).toBeNull();
    expect(mended.headers.get("penstock-applied")).toBe("1/1");
    expect((await adminOk(adminUrl, "GET", "/quarantines")).body.data).toEqual([]);
    const over = runPenstock(["quarantine", "--admin", adminUrl]);
    expect(await over.ended).toBe(0);
    for (const way of ["/good/x", "/next/x", "/third/x"]) expect((await getFresh(proxyPort, way)).status).toBe(200);
  });
});
