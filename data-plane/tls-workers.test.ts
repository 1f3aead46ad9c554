import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { TlsEncoder } from "./config/encoded-tls.ts";
import { certificateConfig, serverCertificate, tlsConfig } from "./listener/tls-server.test-rig.ts";
import { authority, tlsSettings } from "./listener/tls-settings.test-rig.ts";
import { openWorkers, type WorkersRigOptions } from "./worker-faults.test-rig.ts";

const [first, second] = await Promise.all([serverCertificate("a.test"), serverCertificate("a.test")]);
const configOf = (made: typeof first) => tlsConfig({ "a.test": certificateConfig("1", made) });

async function rig(acceptIn: WorkersRigOptions["acceptIn"]) {
  const opened = await openWorkers({ acceptIn, tls: { settings: tlsSettings(), config: configOf(first) } });
  onTestFinished(opened.close);
  return opened;
}

interface Visit {
  readonly isResumed: boolean;
  /** SHA-256 of the certificate that was shown; a resumed session shows none. */
  readonly digest: string;
  readonly status: string;
  readonly session: Buffer | null;
}

/** A connection of its own: shakes hands, asks, and leaves. Rejects when any of it fails. */
async function visit(port: number, options: ConnectionOptions = {}): Promise<Visit> {
  const given = { host: "127.0.0.1", ca: authority.certPem, servername: "a.test", ...options };
  const socket: TLSSocket = connect({ port, ...given });
  let session: Buffer | null = null;
  let text = "";
  socket.on("session", (one: Buffer) => {
    session = one;
  });
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
  });
  await once(socket, "secureConnect");
  const isResumed = socket.isSessionReused();
  const digest = socket.getPeerCertificate().fingerprint256?.replaceAll(":", "").toLowerCase() ?? "";
  socket.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  await once(socket, "close");
  return { isResumed, digest, status: text.split(" ")[1] ?? "", session };
}

describe.each(["worker", "main"] as const)("TLS in workers, accepting in %s,", (acceptIn) => {
  it("resumes a session on whichever worker takes the connection", async () => {
    const { group } = await rig(acceptIn);
    const { session } = await visit(group.tlsPort!);
    const visits = await Promise.all(Array.from({ length: 24 }, () => visit(group.tlsPort!, { session: session! })));
    expect(visits.map(({ isResumed, status }) => [isResumed, status])).toEqual(visits.map(() => [true, "200"]));
    await group.counters();
    const [full, resumed] = ["full", "resumed"].map((kind) => {
      const found = [...group.traffic().handshakes.entries()].find(({ labels }) => labels[0] === kind);
      return found?.cells.slice(1).reduce((sum, count) => sum + count, 0);
    });
    expect([full, resumed]).toEqual([1, 24]);
  });

  it("loses no connection while every worker hands its place over", async () => {
    const { group } = await rig(acceptIn);
    let isOver = false;
    const outcomes: string[] = [];
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) outcomes.push(await visit(group.tlsPort!).then(({ status }) => status, String));
    });
    for (let i = 0; i < 3; i++) expect(await group.replaceAll("test")).toBe(true);
    isOver = true;
    await Promise.all(clients);
    expect(outcomes.filter((outcome) => outcome !== "200")).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(20);
  });

  it("shows a new certificate with every handshake after it was delivered, and fails none meanwhile", async () => {
    const { group, deliver } = await rig(acceptIn);
    /** A session, and the certificate that it was made under. */
    let kept: { readonly session: Buffer; readonly digest: string } | null = null;
    let shown = first.digest;
    /** Of what is shown: the same certificate comes back with a later delivery. */
    let delivery = 0;
    let isOver = false;
    const wrong: string[] = [];
    const resumedUnder = new Set<string>();
    /** A visit that may resume the session; what is shown before and after it tells what it has to have seen. */
    const look = async (offered: typeof kept) => {
      const [wanted, deliveryBefore] = [shown, delivery];
      const got = await visit(group.tlsPort!, offered === null ? {} : { session: offered.session });
      // A worker may have the next certificate before all have: its sessions are good, and may be what is offered.
      const digest = got.isResumed ? offered!.digest : got.digest;
      if (got.isResumed) resumedUnder.add(digest);
      if (got.session !== null) kept = { session: got.session, digest };
      if (got.status !== "200") wrong.push(`status ${got.status}`);
      if (wanted !== "" && deliveryBefore === delivery && digest !== wanted)
        wrong.push(`delivery ${delivery}: ${got.isResumed ? "a session" : "a certificate"} of before`);
    };
    const clients = Array.from({ length: 4 }, async (_, i) => {
      while (!isOver) await look(i === 0 ? kept : null);
    });
    for (let i = 0; i < 6; i++) {
      const next = i % 2 === 0 ? second : first;
      const before = kept;
      shown = "";
      delivery++;
      await deliver({ publication: 2 + i, tls: new TlsEncoder().encode(configOf(next)) });
      shown = next.digest;
      await Promise.all(Array.from({ length: 6 }, (_, at) => look(at % 2 === 0 ? before : kept)));
      await look(kept);
    }
    isOver = true;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
    // Of both, or nothing would have been proven of those of before.
    expect(resumedUnder).toEqual(new Set([first.digest, second.digest]));
  });
});
