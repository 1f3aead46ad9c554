import { credentials, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CertificatesAPI } from "../../proto/gen/penstock/admin/v1/certificates_pb.ts";
import { ConfigAPI } from "../../proto/gen/penstock/admin/v1/config_pb.ts";
import { NodesAPI } from "../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { RoutesAPI } from "../../proto/gen/penstock/admin/v1/routes_pb.ts";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { hourMs, namesOf, newKey, nodeKeys, startSecuredHub, tlsAs } from "../../test/support/identity-rig.ts";
import { until } from "../../test/support/sync-hub-rig.ts";

const a = "aaaaaaaa-0000-4000-8000-000000000001";
const b = "bbbbbbbb-0000-4000-8000-000000000002";

describe("row 49 and S25: NodeGate", () => {
  it("lets a node in that has joined, and shows its SPIFFE id and its token's labels", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a, { labels: { zone: "eu" } });
    expect(namesOf(keys.cert)).toBe(`URI:spiffe://penstock/node/${a}`);
    await rig.connected(keys, a);
    expect(rig.identity.identities.certificateOf(a)).toMatchObject({
      spiffeId: `spiffe://penstock/node/${a}`,
      labels: { zone: "eu" },
      revokedAtUnixMs: null,
    });
  });

  it("pins the authority that the port shows", async () => {
    const rig = await startSecuredHub();
    expect(await rig.shownAuthorityDigest()).toBe((await rig.token()).authorityDigest);
  });

  it("tells who comes without a certificate, and without TLS, what is missing", async () => {
    const rig = await startSecuredHub();
    expect(await rig.connect(null).ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining("has shown no certificate"),
    });
    expect(await rig.connect(null, credentials.createInsecure()).ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining("takes TLS only"),
    });
    expect(rig.identity.identities.refusals().map(({ action, address }) => [action, address])).toEqual([
      ["connect", "127.0.0.1"],
      ["connect", "127.0.0.1"],
    ]);
  });

  it("refuses a certificate of an authority that is not its own, whatever it says", async () => {
    const rig = await startSecuredHub();
    await rig.joinNew(a);
    const issuer = await makeAuthority("Penstock node authority");
    const foreign = await makeCertificate({ issuer, commonName: a });
    expect(await rig.connect(nodeKeys(foreign)).ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining("authority that is not trusted here"),
    });
    expect(rig.identity.identities.refusals()).toMatchObject([
      { action: "connect", cause: expect.stringContaining("not trusted here"), address: "127.0.0.1", count: 1 },
    ]);
  });

  it("has nothing for a node on its port but its stream and its certificate", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    const all = [...ConfigAPI.methods, ...NodesAPI.methods, ...RoutesAPI.methods, ...CertificatesAPI.methods];
    const unary = all.filter(({ methodKind }) => methodKind === "unary");
    expect(unary.length).toBeGreaterThan(15);
    const refused = await Promise.allSettled(unary.map((method) => rig.call(method, {}, tlsAs(keys))));
    expect(new Set(refused.map((one) => one.status === "rejected" && one.reason.code))).toEqual(
      new Set([status.UNIMPLEMENTED]),
    );
  });

  it("refuses a node that says it is another", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    await rig.joinNew(b);
    const node = rig.connect(keys);
    node.hello(b);
    expect(await node.ended).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: `the certificate is of node ${a}, and the hello says ${b}`,
    });
    expect(rig.identity.identities.refusals()[0]).toMatchObject({ action: "connect", nodeId: a });
    expect(rig.hub.fleet.nodes()).toEqual([]);
  });

  it("lets the same key replace its own stream", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    const first = await rig.connected(keys, a);
    await rig.connected(keys, a);
    expect((await first.ended).code).toBe(status.ABORTED);
  });

  it("refuses the copy of a node that comes in turns with it, tells it, and lists it, until the other is gone", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    const hello = (instance: string) => {
      const node = rig.connect(keys);
      node.hello(a, undefined, [], instance);
      return node;
    };
    const first = hello("one");
    await first.next("heartbeat");
    // It may be the same machine after a power cut, whose older stream is not known to have ended.
    const second = hello("two");
    await second.next("heartbeat");
    expect((await first.ended).code).toBe(status.ABORTED);
    expect(await hello("one").ended).toMatchObject({
      code: status.ALREADY_EXISTS,
      details: expect.stringContaining(`node ${a} runs twice, on host-of-${a} and on host-of-${a}`),
    });
    expect(rig.identity.identities.refusals()).toMatchObject([
      { action: "connect", nodeId: a, cause: expect.stringContaining("runs twice"), count: 1 },
    ]);
    expect(rig.hub.fleet.nodes()).toMatchObject([{ id: a, isConnected: true }]);
    const again = hello("two");
    await again.next("heartbeat");
    again.close();
    await until(rig.hub, (fleet) => fleet.nodes().every(({ isConnected }) => !isConnected));
    await hello("one").next("heartbeat");
  });

  it("cuts a node off at once when it is revoked, and refuses it from then on", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    const other = await rig.joinNew(b);
    const node = await rig.connected(keys, a);
    const bystander = await rig.connected(other, b);
    await rig.identity.identities.revoke(a, "stolen");
    const refused = { code: status.PERMISSION_DENIED, details: expect.stringMatching(/revoked at .*: stolen$/) };
    // Not by the clock: it stands still.
    expect(await node.ended).toMatchObject(refused);
    expect(await rig.connect(keys).ended).toMatchObject(refused);
    expect(rig.identity.identities.refusals()).toMatchObject([
      { action: "connect", nodeId: a, cause: refused.details, count: 2 },
    ]);
    await expect(rig.renew(keys)).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    expect(rig.hub.fleet.nodes().filter(({ isConnected }) => isConnected)).toMatchObject([{ id: b }]);
    bystander.hello(b);
    expect((await bystander.ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it("takes a revoked node in again by a token for its id, with another key only", async () => {
    const rig = await startSecuredHub();
    const earlier = await rig.token({ nodeId: a });
    const keys = await rig.joinNew(a);
    rig.clock.advance(1);
    await rig.identity.identities.revoke(a, "");
    await expect(rig.join(earlier, a)).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    rig.clock.advance(1);
    await expect(rig.joinNew(a)).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    const token = await rig.token({ nodeId: a });
    await expect(rig.join(token, a, keys.key)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await rig.connected(await rig.join(token, a), a);
    expect((await rig.connect(keys).ended).details).toContain("another key has joined");
  });

  it("ends a stream when its certificate expires, and has another one go on that shows the renewed one", async () => {
    const rig = await startSecuredHub({ type: "built_in", certificateLifeMs: 2 * hourMs });
    const [renewing, staying] = [await rig.joinNew(a), await rig.joinNew(b)];
    const nodeA = await rig.connected(renewing, a);
    const nodeB = await rig.connected(staying, b);
    rig.clock.advance(hourMs);
    const renewed = await rig.renew(renewing);
    expect(namesOf(renewed.cert)).toBe(namesOf(renewing.cert));
    await rig.renew(staying);
    const later = await rig.connected(renewed, a);
    expect((await nodeA.ended).code).toBe(status.ABORTED);
    rig.clock.advance(hourMs);
    // It has a certificate that is valid, and does not show it.
    const expired = { code: status.UNAUTHENTICATED, details: expect.stringContaining("expired") };
    expect(await nodeB.ended).toMatchObject(expired);
    expect(await rig.connect(staying).ended).toMatchObject(expired);
    // A certificate's end is in whole seconds.
    rig.clock.advance(hourMs - 1_000);
    expect(rig.hub.fleet.nodes().find(({ id }) => id === a)?.isConnected).toBe(true);
    rig.clock.advance(1_000);
    expect(await later.ended).toMatchObject(expired);
  });

  it("says of a certificate that OpenSSL finds expired that it is", async () => {
    const rig = await startSecuredHub();
    const past = await startSecuredHub({ type: "built_in", certificateLifeMs: -60_000 }, rig.store);
    const keys = await past.joinNew(a);
    expect((await rig.connect(keys).ended).details).toContain("the node's certificate has expired");
    await expect(rig.renew(keys)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it("renews for the same key only", async () => {
    const rig = await startSecuredHub();
    const keys = await rig.joinNew(a);
    await expect(rig.renew(keys, newKey())).rejects.toThrow("renewed for the same key only");
  });

  it("refuses another key under an id that is connected, and tells it", async () => {
    const authority = await makeAuthority("Fleet CA");
    const rig = await startOwnPki(authority);
    const issue = async () => nodeKeys(await makeCertificate({ issuer: authority, commonName: a }));
    const first = await rig.connected(await issue(), a);
    const second = rig.connect(await issue());
    second.hello(a);
    expect(await second.ended).toMatchObject({
      code: status.ALREADY_EXISTS,
      details: expect.stringMatching(/is connected from 127\.0\.0\.1:\d+ with another key/),
    });
    expect(rig.identity.identities.refusals()[0]).toMatchObject({ nodeId: a, action: "connect" });
    expect(rig.hub.fleet.nodes()).toMatchObject([{ id: a, isConnected: true }]);
    first.close();
    await until(rig.hub, (fleet) => fleet.nodes().every(({ isConnected }) => !isConnected));
    const renewed = await rig.connected(await issue(), a);
    // Ended by the control plane, it makes room as well.
    renewed.hello(a);
    await renewed.ended;
    await rig.connected(await issue(), a);
  });

  it("takes certificates from elsewhere, by SPIFFE id or common name, and revokes and restores them", async () => {
    const authority = await makeAuthority("Fleet CA");
    const rig = await startOwnPki(authority);
    const keys = nodeKeys(await makeCertificate({ issuer: authority, commonName: a }));
    const node = await rig.connected(keys, a);
    expect(await rig.identity.identities.makeToken({ ttlMs: hourMs, labels: {}, nodeId: "" })).toMatchObject({
      ok: false,
    });
    await rig.identity.identities.revoke(a, "");
    expect((await node.ended).code).toBe(status.PERMISSION_DENIED);
    expect(await rig.identity.identities.restore(a)).toBe("restored");
    expect(await rig.identity.identities.restore(a)).toBe("not_revoked");
    await rig.connected(keys, a);
    const nameless = nodeKeys(await makeCertificate({ issuer: authority, commonName: "not a node" }));
    expect((await rig.connect(nameless).ended).details).toBe("the certificate names no node");
    expect((await rig.connect(null, tlsAs(null)).ended).code).toBe(status.UNAUTHENTICATED);
  });
});

async function startOwnPki(authority: Awaited<ReturnType<typeof makeAuthority>>) {
  const { mkdtempSync, rmSync, writeFileSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const folder = mkdtempSync(join(tmpdir(), "penstock-pki-"));
  const files = { certFile: join(folder, "c"), keyFile: join(folder, "k"), clientCaFile: join(folder, "a") };
  const own = await makeCertificate({ issuer: authority, names: ["127.0.0.1"] });
  writeFileSync(files.certFile, own.chainPem);
  writeFileSync(files.keyFile, own.keyPem);
  writeFileSync(files.clientCaFile, authority.certPem);
  const rig = await startSecuredHub({ type: "own", files });
  rmSync(folder, { recursive: true });
  return rig;
}
