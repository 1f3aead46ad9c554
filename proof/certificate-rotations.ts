/**
 * Row 48: a certificate is replaced every half second, 20 times, under 500 requests/s over TLS, on connections that are
 * kept, new and resumed. No request fails, no kept connection is closed, and every handshake that begins after a write
 * has returned shows what was written.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { makeAuthority, makeCertificate } from "../test/support/certificates.ts";
import { startProofPlanes, startProofTarget } from "../test/support/proof-planes.ts";
import { type Rotation, staleHandshakes, startTlsLoad } from "../test/support/tls-load.ts";
import type { Figure } from "./prove.ts";

const rotationCount = 20;
const rotateEveryMs = 500;
const requestsPerSecond = 500;
const connectionCount = 16;
const name = "rotated.test";

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const authority = await makeAuthority("Proof CA");
  const made = await Promise.all(
    Array.from({ length: rotationCount + 1 }, () => makeCertificate({ names: [name], issuer: authority })),
  );
  const target = await startProofTarget();
  const env = { PENSTOCK_WORKERS: "2", PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0" };
  const planes = await startProofPlanes([target.port], env);
  const rotations: Rotation[] = [];
  const rotate = async () => {
    const { certPem: cert, keyPem: key, digest } = made[rotations.length]!;
    const writeBegunAtMs = performance.now();
    await adminOk(planes.adminUrl, "PUT", `/certificates/${name}?wait=applied&timeout=30s`, { cert, key });
    rotations.push({ digest, writeBegunAtMs, writeReturnedAtMs: performance.now() });
  };
  await rotate();
  const place = { port: planes.proxyTlsPort, serverName: name, caPem: authority.certPem, path: "/p?bytes=100" };
  const load = startTlsLoad({ ...place, requestsPerSecond, connectionCount });
  try {
    await load.finished(2 * requestsPerSecond);
    const before = load.outcome.ok + load.outcome.failed;
    const startedAtMs = performance.now();
    while (rotations.length <= rotationCount) {
      await rotate();
      await sleep(Math.max(startedAtMs + (rotations.length - 1) * rotateEveryMs - performance.now(), 0));
    }
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const rate = (load.outcome.ok + load.outcome.failed - before) / seconds;
    const { failed, failures, handshakes, keptConnections } = await load.stop();
    const resumed = handshakes.filter(({ isResumed }) => isResumed).length;
    progress(
      `${Math.round(rate)}/s over ${seconds.toFixed(1)} s, ${handshakes.length} handshakes; ${failures.join("; ")}`,
    );
    const writes = rotations.slice(1).map((one) => one.writeReturnedAtMs - one.writeBegunAtMs);
    writes.sort((a, b) => a - b);
    const shown = new Set(handshakes.map(({ digest }) => digest));
    const counted = await planes.counters();
    const figure = (what: string, value: number, unit: string, atMost: number | null): Figure => {
      return { name: what, value: Math.round(value), unit, atMost };
    };
    return [
      figure("failed requests", failed, "requests", 0),
      figure("handshakes that did not show the new certificate", staleHandshakes(handshakes, rotations).length, "", 0),
      figure(
        "certificates that no handshake has shown",
        rotations.filter((one) => !shown.has(one.digest)).length,
        "",
        0,
      ),
      figure("kept connections that were closed", Math.max(keptConnections - connectionCount, 0), "connections", 0),
      figure("lost workers", counted["workers_lost"]!, "workers", 0),
      figure("seconds beyond 10 for 20 rotations", Math.max(seconds - 10, 0), "s", 1),
      figure("requests/s short of 490", Math.max(490 - rate, 0), "requests/s", 0),
      figure("handshakes", handshakes.length, "handshakes", null),
      figure("of these resumed", resumed, "handshakes", null),
      figure("a write until every worker serves it, median", writes[writes.length >> 1]!, "ms", null),
      figure("the same, longest", writes.at(-1)!, "ms", null),
    ];
  } finally {
    await load.stop();
    await planes.stop();
    await target.stop();
  }
}
