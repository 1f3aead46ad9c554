import { describe, expect, it } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { type Rotation, staleHandshakes, startTlsLoad } from "../support/tls-load.ts";

const name = "rotated.test";

describe("row 48: rotating a certificate under load", () => {
  it("fails no request, closes no kept connection, and shows the new one from the next handshake on", async () => {
    const authority = await makeAuthority();
    const controlPlane = await startControlPlane();
    const env = { PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0" };
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env });
    const target = await startEchoTargetProcess("t1");
    await createBalancedRoute(controlPlane.adminUrl, { name: "r", path: "/r", targets: [`127.0.0.1:${target.port}`] });
    const rotations: Rotation[] = [];
    const rotate = async () => {
      const { certPem: cert, keyPem: key, digest } = await makeCertificate({ names: [name], issuer: authority });
      const writeBegunAtMs = performance.now();
      const path = `/certificates/${name}?wait=applied&timeout=30s`;
      await adminOk(controlPlane.adminUrl, "PUT", path, { cert, key });
      rotations.push({ digest, writeBegunAtMs, writeReturnedAtMs: performance.now() });
    };
    await rotate();
    const load = startTlsLoad({
      port: dataPlane.proxyTlsPort,
      serverName: name,
      caPem: authority.certPem,
      path: "/r/x",
      requestsPerSecond: 100,
      connectionCount: 4,
    });
    await load.finished(40);
    for (let i = 0; i < 5; i++) {
      await rotate();
      await load.finished(load.outcome.sent + 40);
    }
    const { failures, handshakes, keptConnections } = await load.stop();
    expect(failures).toEqual([]);
    expect(keptConnections).toBeLessThanOrEqual(4);
    expect(staleHandshakes(handshakes, rotations)).toEqual([]);
    expect(new Set(handshakes.map(({ digest }) => digest))).toEqual(new Set(rotations.map(({ digest }) => digest)));
    expect(handshakes.some(({ isResumed }) => isResumed)).toBe(true);
  });
});
