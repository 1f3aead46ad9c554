import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { admin, adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  appliedRevision,
  type DataPlaneProcess,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

/** A node that listens may not have reached the control plane yet, and would not be waited for. */
async function startSyncedNode(syncAddress: string): Promise<DataPlaneProcess> {
  const node = await startDataPlane(syncAddress, { workers: 1 });
  await appliedRevision(node, 0);
  return node;
}

describe("a write that has returned", () => {
  it("is served by every worker of every node: 1,000 writes, 8 fresh connections to each of two nodes", async () => {
    const controlPlane = await startControlPlane();
    const nodes = await Promise.all([1, 2].map(() => startDataPlane(controlPlane.syncAddress, { workers: 2 })));
    const target = await startEchoTargetProcess("t1");
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "live",
      path: "/live",
      targets: [`127.0.0.1:${target.port}`],
    });

    const stale: string[] = [];
    for (let write = 0; write < 1_000; write++) {
      const answer = await adminOk(controlPlane.adminUrl, "PATCH", "/services/live-service?wait=applied&timeout=30s", {
        path: `/v${write}`,
      });
      expect(answer.headers.get("penstock-applied")).toBe("2/2");
      const seen = await Promise.all(
        nodes.flatMap((node) => Array.from({ length: 8 }, () => getFresh(node.proxyPort, "/live/x"))),
      );
      for (const [i, one] of seen.entries())
        if (!one.body.includes(`"url": "/v${write}/x"`)) stale.push(`write ${write}, connection ${i}: ${one.text}`);
    }
    expect(stale).toEqual([]);
  }, 240_000);

  it("says 1/2 within 2 s when a node is stopped, and the next ones do not wait for it", async () => {
    const controlPlane = await startControlPlane();
    const nodes = await Promise.all([1, 2].map(() => startSyncedNode(controlPlane.syncAddress)));
    const first = await adminOk(controlPlane.adminUrl, "POST", "/upstreams?wait=applied&timeout=30s", {
      name: "stopped",
    });
    expect(first.headers.get("penstock-applied")).toBe("2/2");

    nodes[0]!.child.kill("SIGSTOP");
    const slowFromMs = performance.now();
    const slow = await adminOk(controlPlane.adminUrl, "PATCH", "/upstreams/stopped", { slots: 100 });
    expect(slow.headers.get("penstock-applied")).toBe("1/2");
    expect(performance.now() - slowFromMs).toBeLessThan(2_000);

    const nextFromMs = performance.now();
    for (let slots = 101; slots <= 110; slots++) {
      const next = await adminOk(controlPlane.adminUrl, "PATCH", "/upstreams/stopped", { slots });
      expect(next.headers.get("penstock-applied")).toBe("1/2");
    }
    // Ten writes that each waited the whole second would take ten.
    expect(performance.now() - nextFromMs).toBeLessThan(5_000);

    nodes[0]!.child.kill("SIGCONT");
    const caughtUp = await adminOk(controlPlane.adminUrl, "PATCH", "/upstreams/stopped?wait=applied&timeout=30s", {
      slots: 200,
    });
    expect(caughtUp.headers.get("penstock-applied")).toBe("2/2");
    const kept = await adminOk(controlPlane.adminUrl, "PATCH", "/upstreams/stopped", { slots: 201 });
    expect(kept.headers.get("penstock-applied")).toBe("2/2");
  });

  it("is answered to a client that sends nothing more after it, however long it waits for the nodes", async () => {
    const { adminUrl, syncAddress } = await startControlPlane();
    const node = await startSyncedNode(syncAddress);
    const first = await adminOk(adminUrl, "POST", "/upstreams?wait=applied&timeout=30s", { name: "whole" });
    expect(first.headers.get("penstock-applied")).toBe("1/1");
    node.child.kill("SIGSTOP");
    const socket = connect(Number(new URL(adminUrl).port), "127.0.0.1");
    const body = JSON.stringify({ name: "half" });
    const head = `POST /upstreams?wait=applied&timeout=60s HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}`;
    socket.end(`${head}\r\ncontent-type: application/json\r\n\r\n${body}`);
    // It is asked whether it is there, and could have been answered only by a node that does not run.
    const [asked] = await once(socket, "data");
    node.child.kill("SIGCONT");
    const answers = String(asked) + (await text(socket));
    // Asked again where the node takes its time to go on.
    expect(answers.match(/HTTP\/1.1 \d+/g)!.join()).toMatch(/^(HTTP\/1.1 102,)+HTTP\/1.1 201$/);
    expect(answers).toMatch(/penstock-applied: 1\/1/i);
  });

  it("says 0/0 at once when there is no node, and nothing with ?wait=none", async () => {
    const controlPlane = await startControlPlane();
    const alone = await adminOk(controlPlane.adminUrl, "POST", "/upstreams?wait=applied&timeout=30s", {
      name: "alone",
    });
    expect(alone.headers.get("penstock-applied")).toBe("0/0");
    expect(Number(alone.headers.get("penstock-revision"))).toBeGreaterThan(0);
    const unasked = await adminOk(controlPlane.adminUrl, "POST", "/upstreams?wait=none", { name: "unasked" });
    expect(unasked.headers.get("penstock-applied")).toBeNull();
    expect((await admin(controlPlane.adminUrl, "POST", "/upstreams?wait=soon", { name: "w" })).status).toBe(400);
    expect((await admin(controlPlane.adminUrl, "GET", "/upstreams/w")).status).toBe(404);
  });
});
