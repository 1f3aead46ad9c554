import { X509Certificate } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hourMs, startSecuredHub } from "../../test/support/identity-rig.ts";
import { ScriptedNode } from "../../test/support/scripted-node.ts";
import { helloFacts, startClient } from "../../test/support/sync-client-rig.ts";
import { until } from "../../test/support/sync-hub-rig.ts";
import type { Log } from "../telemetry/log.ts";
import { IdentityFolder } from "./identity-folder.ts";
import { JoinedIdentity } from "./joined-identity.ts";
import type { JoinToken } from "./read-join-token.ts";

const a = "aaaaaaaa-0000-4000-8000-000000000001";
type Rig = Awaited<ReturnType<typeof startSecuredHub>>;

let path: string;
let events: EventEmitter;
const open: JoinedIdentity[] = [];
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "penstock-node-")), "identity");
  events = new EventEmitter();
});
afterEach(() => {
  for (const identity of open.splice(0)) identity.close();
  rmSync(join(path, ".."), { recursive: true });
});

/** Tells each line as an event of its text; what follows a line has happened when it is told. */
function eventLog(): Log {
  const told = (_fields: object, text: string) => void setImmediate(() => events.emit(text));
  return { info: told, warn: told, error: told, debug: told } as unknown as Log;
}

function identityOf(rig: Rig, token: JoinToken | null, controlPlanes = [rig.address]): JoinedIdentity {
  const folder = new IdentityFolder(path);
  const options = { folder, nodeId: a, controlPlanes, token, clock: rig.clock, random: () => 0.5, log: eventLog() };
  const identity = new JoinedIdentity(options);
  open.push(identity);
  return identity;
}

const certificate = () =>
  new X509Certificate(JSON.parse(readFileSync(join(path, "identity.json"), "utf8")).certificate);

/** The stream of a node with this identity. */
function streamOf(rig: Rig, identity: JoinedIdentity) {
  const access = identity.access(rig.address);
  if (!access.ok) throw new Error(access.problem);
  return rig.connect(null, access.credentials);
}

describe("JoinedIdentity", () => {
  it("joins by its token, once, and keeps what it got where only its owner reads it", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    const first = identityOf(rig, token);
    expect(first.access(rig.address)).toMatchObject({ ok: false });
    await once(events, "this node has joined");
    const node = streamOf(rig, first);
    node.hello(a);
    await node.next("heartbeat");
    expect(statSync(join(path, "key.pem")).mode & 0o777).toBe(0o600);
    const serial = certificate().serialNumber;
    // A restart with the same token does not use it again, and one without needs none.
    for (const again of [identityOf(rig, token), identityOf(rig, null)])
      expect(again.status).toMatchObject({ type: "joined", problem: null });
    expect(certificate().serialNumber).toBe(serial);
    expect(rig.identity.identities.refusals()).toEqual([]);
  });

  it("shows its token to no control plane but the one that it is of", async () => {
    const [rig, foreign] = [await startSecuredHub(), await startSecuredHub()];
    const identity = identityOf(rig, await rig.token(), [foreign.address]);
    await once(events, "this node could not join");
    expect(identity.status.problem).toContain("its authority has another digest");
    expect(foreign.identity.identities.refusals()).toEqual([]);
  });

  it("trusts no certificate of the right authority that is a node's", async () => {
    const rig = await startSecuredHub();
    const identity = identityOf(rig, await rig.token());
    await once(events, "this node has joined");
    const { certificate: cert, authority } = JSON.parse(readFileSync(join(path, "identity.json"), "utf8"));
    const key = readFileSync(join(path, "key.pem"), "utf8");
    const thief = createServer({ cert: cert + authority, key, ALPNProtocols: ["h2"] }, (socket) => socket.destroy());
    thief.on("tlsClientError", () => {});
    thief.listen(0, "127.0.0.1");
    await once(thief, "listening");
    const address = `127.0.0.1:${(thief.address() as { port: number }).port}`;
    const access = identity.access(address);
    if (!access.ok) throw new Error(access.problem);
    const node = new ScriptedNode(address, access.credentials);
    node.hello(a);
    expect((await node.ended).details).toMatch(/unsuitable certificate purpose|not a control plane's/);
    node.close();
    thief.close();
  });

  it("row 47: renews at two thirds of its life, and has a stream by the new one before the old one ends", async () => {
    const rig = await startSecuredHub({ type: "built_in", certificateLifeMs: hourMs });
    const identity = identityOf(rig, await rig.token());
    await once(events, "this node has joined");
    const { states, stateWhere } = startClient([rig.address], {
      ...{ access: identity, clock: rig.clock, log: eventLog(), hello: { ...helloFacts, nodeId: a } },
      // Silence is another test's matter: hours pass here in no time.
      silenceMs: 24 * hourMs,
    });
    await stateWhere(({ connection }) => connection === "connected");
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.isConnected === true);
    const node = rig.hub.fleet.nodes()[0]!;
    const expiresAtMs = () => rig.identity.identities.certificateOf(a)?.expiresAtUnixMs;
    const before = certificate();
    expect(expiresAtMs()).toBe(before.validToDate.getTime());
    // Backdated by an hour: two thirds of 2 hours, less a twentieth of them by half, are 1.283 h; one of them is past.
    rig.clock.advance(0.27 * hourMs);
    expect(certificate().serialNumber).toBe(before.serialNumber);
    rig.clock.advance(0.02 * hourMs);
    const [renewed, taken] = [
      once(events, "the node's certificate is renewed"),
      once(events, "another stream has taken the place of the open one"),
    ];
    await renewed;
    expect(certificate().serialNumber).not.toBe(before.serialNumber);
    expect(certificate().publicKey.equals(before.publicKey)).toBe(true);
    await taken;
    expect(expiresAtMs()).toBe(certificate().validToDate.getTime());
    expect(rig.identity.identities.refusals()).toEqual([]);
    // Past the end of the first certificate. The node has never been without a stream.
    rig.clock.advance(0.75 * hourMs);
    expect(rig.hub.fleet.nodes()).toMatchObject([
      { id: a, isConnected: true, address: expect.not.stringMatching(node.address) },
    ]);
    expect(states.map(({ connection }) => connection).filter((each, i, all) => each !== all[i - 1])).toEqual([
      "connecting",
      "connected",
    ]);
  });

  it("says what is wrong when it cannot renew, and tries again", async () => {
    const rig = await startSecuredHub();
    const identity = identityOf(rig, await rig.token());
    await once(events, "this node has joined");
    await rig.identity.identities.revoke(a, "stolen");
    rig.clock.advance(16 * hourMs);
    await once(events, "the node's certificate could not be renewed");
    expect(identity.status.problem).toMatch(/could not be renewed: .*revoked at .*: stolen$/);
    rig.clock.advance(60_000);
    await once(events, "the node's certificate could not be renewed");
    expect(rig.identity.identities.refusals()).toMatchObject([{ action: "renew", nodeId: a, count: 2 }]);
  });

  it("joins again by a new token, after a revocation with another key", async () => {
    const rig = await startSecuredHub();
    identityOf(rig, await rig.token()).close();
    await once(events, "this node has joined");
    const before = certificate();
    await rig.identity.identities.revoke(a, "");
    rig.clock.advance(1);
    identityOf(rig, await rig.token({ nodeId: a }));
    await once(events, "this node could not join");
    rig.clock.advance(0);
    await once(events, "this node has joined");
    expect(certificate().publicKey.equals(before.publicKey)).toBe(false);
  });

  it("keeps its certificate when a further token is refused, and renews it", async () => {
    const rig = await startSecuredHub();
    identityOf(rig, await rig.token()).close();
    await once(events, "this node has joined");
    const serial = certificate().serialNumber;
    const identity = identityOf(rig, { ...(await rig.token()), secret: new Uint8Array(32) });
    await once(events, "this node could not join");
    expect(identity.access(rig.address).ok).toBe(true);
    expect(certificate().serialNumber).toBe(serial);
    rig.clock.advance(17 * hourMs);
    await once(events, "the node's certificate is renewed");
    expect(identity.status.problem).toBeNull();
  });

  it("says that it needs a token when what it had is damaged", async () => {
    const rig = await startSecuredHub();
    identityOf(rig, await rig.token()).close();
    await once(events, "this node has joined");
    writeFileSync(join(path, "identity.json"), "{");
    expect(identityOf(rig, null).access(rig.address)).toMatchObject({
      ok: false,
      problem: expect.stringContaining("needs a join token"),
    });
  });
});
