import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeCertificate, type TestCertificate } from "../../../test/support/certificates.ts";
import { expectReply, uuid } from "../../../test/support/kong-expectations.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let ec: TestCertificate;
let rsa: TestCertificate;
let rig: RestRig;

beforeAll(async () => {
  [ec, rsa] = await Promise.all([makeCertificate({ names: ["a.test"] }), makeCertificate({ key: "rsa" })]);
});
beforeEach(async () => {
  rig = await startRestRig();
});
afterEach(() => rig.close());

const pairOf = ({ certPem, keyPem }: TestCertificate) => ({ cert: certPem, key: keyPem });
const notFound = { message: "Not found" };
const otherId = "22222222-2222-4222-8222-222222222222";

/** A service and an upstream without a certificate. */
async function createBoth(): Promise<void> {
  await rig.create("/services", { name: "s", url: "https://h.test/" });
  await rig.create("/upstreams", { name: "u" });
}

const paths = ["/services/s", "/upstreams/u"];

describe.each(paths)("%s/client_certificate", (owner) => {
  const path = `${owner}/client_certificate`;
  beforeEach(createBoth);

  it("is the certificate that is shown to targets, with its key, to be read, replaced and changed", async () => {
    const { id } = await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test"] });
    await rig.send("PATCH", owner, { client_certificate: { id } });
    const read = await rig.send("GET", path);
    expect([read.status, read.json.id, read.json.key]).toEqual([200, id, ec.keyPem]);
    expect(read.json).toEqual((await rig.send("GET", `/certificates/${id}`)).json);
    const head = await rig.send("HEAD", path);
    expect([head.status, head.text]).toEqual([200, ""]);
    const patched = await rig.send("PATCH", path, { tags: ["t"] });
    expect([patched.status, patched.json]).toMatchObject([200, { id, tags: ["t"], key: "***" }]);
    const put = await rig.send("PUT", path, { id: otherId, ...pairOf(rsa) });
    expect([put.status, put.json]).toMatchObject([200, { id, cert: rsa.certPem, tags: null, snis: ["a.test"] }]);
    expect(rig.store.image.count("certificate")).toBe(1);
    const bad = await rig.send("PUT", path, { ...pairOf(ec), key: rsa.keyPem });
    expect([bad.status, bad.json.fields]).toEqual([400, { "@entity": ["certificate does not match key"] }]);
  });

  it("is created by PUT where there is none, together with the reference to it", async () => {
    const before = rig.store.image.revision;
    const put = await rig.send("PUT", path, { id: otherId, ...pairOf(ec), snis: ["new.test"] });
    expect(put.status).toBe(200);
    expect(put.json).toMatchObject({ id: uuid, cert: ec.certPem, key: "***", snis: ["new.test"] });
    expect(put.json.id).not.toBe(otherId);
    expect((await rig.send("GET", owner)).json.client_certificate).toEqual({ id: put.json.id });
    expect((await rig.send("GET", "/certificates/new.test")).json.id).toBe(put.json.id);
    expect(rig.store.image.revision).toBe(before + 1);
    expect(Number(put.headers["penstock-revision"])).toBe(before + 1);
  });

  it("creates nothing when the certificate is not right", async () => {
    const put = await rig.send("PUT", path, { cert: ec.certPem });
    expect([put.status, put.json.fields]).toEqual([400, { key: "required field missing" }]);
    expect([rig.store.image.count("certificate"), rig.store.image.revision]).toEqual([0, 2]);
  });

  it("is absent where there is none, and never deleted from here", async () => {
    expectReply(await rig.send("GET", path), 404, notFound);
    expectReply(await rig.send("PATCH", path, { tags: ["t"] }), 404, notFound);
    expectReply(await rig.send("DELETE", path), 404, notFound);
    await rig.send("PUT", path, pairOf(ec));
    const refused = await rig.send("DELETE", path);
    expectReply(refused, 405, { message: "Method not allowed" });
    expect(refused.headers["allow"]).toBe("GET, HEAD, OPTIONS, PATCH, PUT");
    expect((await rig.send("POST", path, pairOf(ec))).status).toBe(405);
    expect((await rig.send("OPTIONS", path)).status).toBe(204);
    expect(rig.store.image.count("certificate")).toBe(1);
  });
});

describe("what a resource refers to", () => {
  it("is refused where the resource must not refer to it, and not created either", async () => {
    await rig.create("/services", { name: "plain", host: "h.test" });
    const put = await rig.send("PUT", "/services/plain/client_certificate", pairOf(ec));
    expect(put.status).toBe(400);
    expect(put.json.fields).toEqual({
      "@entity": ["failed conditional validation given value of field 'protocol'"],
      client_certificate: "value must be null",
    });
    expect(rig.store.image.count("certificate")).toBe(0);
  });

  it("is created once by writes that come at the same time, and replaced by the others", async () => {
    await createBoth();
    const puts = await Promise.all(
      [ec, rsa, ec].map((made) => rig.send("PUT", "/services/s/client_certificate", pairOf(made))),
    );
    // What has come to be there in the meantime may also be told as "try again".
    expect(puts.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
    expect(puts.some(({ status }) => status === 200)).toBe(true);
    expect(rig.store.image.count("certificate")).toBe(1);
  });

  it.each(["GET", "PUT", "PATCH", "DELETE"])("%s is not found below what is not there", async (method) => {
    const body = method === "PUT" || method === "PATCH" ? pairOf(ec) : undefined;
    for (const path of ["/services/nope/client_certificate", `/upstreams/${otherId}/client_certificate`]) {
      expectReply(await rig.send(method, path, body), 404, notFound);
    }
    expect(rig.store.image.revision).toBe(0);
  });

  it("is a route's service as well, and no SNI's certificate, as in Kong", async () => {
    await rig.create("/routes", { name: "r", paths: ["/r"] });
    const put = await rig.send("PUT", "/routes/r/service", { host: "h.test" });
    expect([put.status, put.json.host]).toEqual([200, "h.test"]);
    expect((await rig.send("GET", "/routes/r")).json.service).toEqual({ id: put.json.id });
    expect((await rig.send("PATCH", "/routes/r/service", { retries: 1 })).json).toMatchObject({ id: put.json.id });
    await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test"] });
    expectReply(await rig.send("GET", "/snis/a.test/certificate"), 404, notFound);
  });
});
