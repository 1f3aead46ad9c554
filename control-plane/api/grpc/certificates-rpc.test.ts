import { Code } from "@connectrpc/connect";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CaCertificatesAPI } from "../../../proto/gen/penstock/admin/v1/ca_certificates_pb.ts";
import { CertificatesAPI } from "../../../proto/gen/penstock/admin/v1/certificates_pb.ts";
import { ServicesAPI } from "../../../proto/gen/penstock/admin/v1/services_pb.ts";
import { SnisAPI } from "../../../proto/gen/penstock/admin/v1/snis_pb.ts";
import { ChangeKind } from "../../../proto/gen/penstock/admin/v1/write_result_pb.ts";
import { ClientAuthenticationMode } from "../../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { Protocol } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import { inDays, makeAuthority, makeCertificate, type TestCertificate } from "../../../test/support/certificates.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";

const { createCertificate, getCertificate, listCertificates, updateCertificate, deleteCertificate, watchCertificates } =
  CertificatesAPI.method;
const { createSni, getSni, listSnis, updateSni, deleteSni, watchSnis } = SnisAPI.method;
const { createCaCertificate, getCaCertificate, listCaCertificates, updateCaCertificate, deleteCaCertificate } =
  CaCertificatesAPI.method;

let one: TestCertificate;
let two: TestCertificate;
let authority: TestCertificate;
let rig: RpcRig;
beforeAll(async () => {
  [one, two, authority] = await Promise.all([makeCertificate(), makeCertificate({ key: "rsa" }), makeAuthority()]);
});
beforeEach(async () => {
  rig = await startRpcRig();
});
afterEach(() => rig.close());

const pairOf = ({ certPem, keyPem }: TestCertificate) => ({ cert: certPem, key: keyPem });

describe("certificates over gRPC", () => {
  it("carries one with its names from create to delete, its key in a single read only", async () => {
    const created = await rig.call(createCertificate, { certificate: { ...pairOf(one), snis: ["b.test", "a.test"] } });
    expect(created).toMatchObject({ revision: 1n, warnings: [] });
    expect(created.certificate).toMatchObject({ cert: one.certPem, key: "***", snis: ["a.test", "b.test"] });
    const { id, etag } = created.certificate;
    const read = await rig.call(getCertificate, { idOrServerName: "A.test" });
    expect(read.certificate).toMatchObject({ id, etag, key: one.keyPem, snis: ["a.test", "b.test"] });
    expect((await rig.call(listCertificates, {})).certificates).toMatchObject([{ id, key: "***" }]);
    // As a client does that was shown a mask: all of it, with another list of names.
    const masked = { ...created.certificate, snis: ["c.test"], certAlt: two.certPem, keyAlt: two.keyPem };
    const updated = await rig.call(updateCertificate, { certificate: masked });
    expect(updated.certificate).toMatchObject({ key: "***", keyAlt: "***", snis: ["c.test"] });
    const again = await rig.call(getCertificate, { idOrServerName: id });
    expect(again.certificate).toMatchObject({ key: one.keyPem, keyAlt: two.keyPem, snis: ["c.test"] });
    const cleared = await rig.call(updateCertificate, {
      certificate: { id },
      updateMask: { paths: ["cert_alt", "key_alt", "snis"] },
    });
    expect(cleared.certificate).toMatchObject({ snis: [] });
    expect(cleared.certificate.certAlt).toBeUndefined();
    expect(await rig.call(deleteCertificate, { idOrServerName: id })).toMatchObject({ revision: 4n });
    await expect(rig.call(getCertificate, { idOrServerName: id })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("watches without keys", async () => {
    const watcher = rig.stream(watchCertificates);
    watcher.end({ fromRevision: 0n });
    const { certificate } = await rig.call(createCertificate, { certificate: pairOf(one) });
    await rig.call(deleteCertificate, { idOrServerName: certificate.id });
    for (const kind of [ChangeKind.CREATED, ChangeKind.DELETED])
      expect(await watcher.next()).toMatchObject({ kind, certificate: { id: certificate.id, key: "***" } });
    await watcher.cancel();
  });

  it("says what is wrong in the same words", async () => {
    const mismatch = rig.call(createCertificate, { certificate: { cert: one.certPem, key: two.keyPem } });
    await expect(mismatch).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: "certificate does not match key",
    });
    await rig.call(createCertificate, { certificate: { ...pairOf(one), snis: ["a.test"] } });
    const taken = rig.call(createCertificate, { certificate: { ...pairOf(two), snis: ["a.test"] } });
    await expect(taken).rejects.toMatchObject({ code: Code.InvalidArgument, message: /already associated with/ });
    await expect(rig.call(getCertificate, { idOrServerName: "nope.test" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: "SNI not found",
    });
  });

  it("warns of what ends soon", async () => {
    const soon = await makeCertificate({
      notBefore: new Date(0),
      notAfter: new Date(1_717_000_000_123 + 3 * 86_400_000),
    });
    const created = await rig.call(createCertificate, { certificate: pairOf(soon) });
    expect(created.warnings).toMatchObject([{ field: "cert", message: /^expires at .*, in 2 days$/ }]);
  });
});

describe("server names over gRPC", () => {
  it("are created, moved and deleted by name", async () => {
    const { certificate } = await rig.call(createCertificate, { certificate: pairOf(one) });
    const other = await rig.call(createCertificate, { certificate: pairOf(two) });
    const watcher = rig.stream(watchSnis);
    watcher.end({ fromRevision: 0n });
    const created = await rig.call(createSni, { sni: { name: "a.test", certificate: { id: certificate.id } } });
    expect(created.sni).toMatchObject({ name: "a.test", certificate: { id: certificate.id } });
    await expect(
      rig.call(createSni, { sni: { name: "A.TEST", certificate: { id: certificate.id } } }),
    ).rejects.toMatchObject({ code: Code.AlreadyExists });
    const moved = await rig.call(updateSni, { sni: { name: "a.test", certificate: { id: other.certificate.id } } });
    expect(moved.sni.certificate.id).toBe(other.certificate.id);
    expect((await rig.call(getSni, { idOrName: "a.test" })).sni).toEqual(moved.sni);
    expect((await rig.call(listSnis, {})).snis).toEqual([moved.sni]);
    await rig.call(deleteSni, { idOrName: "a.test" });
    const seen = [await watcher.next(), await watcher.next(), await watcher.next()];
    expect(seen.map(({ kind }) => kind)).toEqual([ChangeKind.CREATED, ChangeKind.UPDATED, ChangeKind.DELETED]);
    await watcher.cancel();
  });
});

describe("CA certificates over gRPC", () => {
  it("are trusted by services and certificates, and stay while they are", async () => {
    const created = await rig.call(createCaCertificate, {
      caCertificate: { cert: authority.certPem, certDigest: "x" },
    });
    expect(created.caCertificate).toMatchObject({ certDigest: authority.digest });
    const { id } = created.caCertificate;
    const service = { host: "a.test", protocol: Protocol.HTTPS, caCertificates: [id] };
    const { service: made, warnings } = await rig.call(ServicesAPI.method.createService, { service });
    expect(warnings).toEqual([]);
    await expect(rig.call(deleteCaCertificate, { id })).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await rig.call(ServicesAPI.method.deleteService, { idOrName: made.id });
    const asking = { ...pairOf(one), clientAuthentication: { caCertificates: [id], depth: 2 } };
    const { certificate } = await rig.call(createCertificate, { certificate: asking });
    expect(certificate.clientAuthentication).toMatchObject({ mode: ClientAuthenticationMode.REQUIRED, depth: 2 });
    await expect(rig.call(deleteCaCertificate, { id })).rejects.toMatchObject({ code: Code.FailedPrecondition });
    const updateMask = { paths: ["client_authentication"] };
    await rig.call(updateCertificate, { certificate: { id: certificate.id }, updateMask });
    const tagged = await rig.call(updateCaCertificate, { caCertificate: { id, tags: ["t"] } });
    expect((await rig.call(getCaCertificate, { id })).caCertificate).toEqual(tagged.caCertificate);
    expect((await rig.call(listCaCertificates, { tags: ["t"] })).caCertificates).toEqual([tagged.caCertificate]);
    await rig.call(deleteCaCertificate, { id });
    await expect(rig.call(getCaCertificate, { id })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("are refused in Kong's words", async () => {
    const leaf = rig.call(createCaCertificate, { caCertificate: { cert: one.certPem } });
    await expect(leaf).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: /missing the "CA" basic constraint/,
    });
    const old = await makeAuthority({ notBefore: new Date(0), notAfter: inDays(-2_000) });
    await expect(rig.call(createCaCertificate, { caCertificate: { cert: old.certPem } })).rejects.toMatchObject({
      message: /^certificate expired.* "Not After" time is in the past$/,
    });
  });
});
