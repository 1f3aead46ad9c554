import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate, type TestCertificate } from "../../../test/support/certificates.ts";
import { expectReply, uuid } from "../../../test/support/kong-expectations.ts";
import { type RestRig, rigTimeMs, startRestRig } from "../../../test/support/rest-rig.ts";

const dayMs = 86_400_000;
const inDays = (days: number) => new Date(rigTimeMs + days * dayMs);
const seconds = Math.floor(rigTimeMs / 1000);
const otherId = "22222222-2222-4222-8222-222222222222";

let ec: TestCertificate;
let rsa: TestCertificate;
let authority: TestCertificate;
let rig: RestRig;

beforeAll(async () => {
  [ec, rsa, authority] = await Promise.all([
    makeCertificate({ names: ["a.test"] }),
    makeCertificate({ names: ["b.test"], key: "rsa" }),
    makeAuthority("CA"),
  ]);
});
beforeEach(async () => {
  rig = await startRestRig();
});
afterEach(() => rig.close());

const pairOf = ({ certPem, keyPem }: TestCertificate) => ({ cert: certPem, key: keyPem });
const violation = (message: string, fields: object) => ({ code: 2, name: "schema violation", message, fields });
const ofEntity = (message: string) => violation(`schema violation (${message})`, { "@entity": [message] });

describe("/snis", () => {
  it("are created, found, moved and deleted by name and within their certificate", async () => {
    const one = await rig.create("/certificates", pairOf(ec));
    const two = await rig.create("/certificates", pairOf(rsa));
    const created = await rig.send("POST", `/certificates/${one.id}/snis`, { name: "A.Test." });
    const sni = {
      id: uuid,
      name: "a.test",
      certificate: { id: one.id },
      tags: null,
      created_at: seconds,
      updated_at: seconds,
    };
    expectReply(created, 201, sni);
    expectReply(await rig.send("GET", "/snis/a.TEST"), 200, sni);
    expectReply(await rig.send("GET", "/certificates/a.test/snis/a.test"), 200, sni);
    expect((await rig.send("GET", `/certificates/${two.id}/snis/a.test`)).status).toBe(404);
    const moved = await rig.send("PATCH", "/snis/a.test", { certificate: { id: two.id } });
    expect(moved.json.certificate).toEqual({ id: two.id });
    expect((await rig.send("GET", "/certificates/a.test")).json.id).toBe(two.id);
    const put = await rig.send("PUT", "/snis/put.test", { certificate: { id: one.id } });
    expect([put.status, put.json.name]).toEqual([200, "put.test"]);
    expect((await rig.send("DELETE", "/snis/put.test")).status).toBe(204);
    expect((await rig.send("DELETE", "/snis/put.test")).status).toBe(204);
  });

  it.each([
    { body: { name: "a.test" }, fields: { certificate: "required field missing" } },
    { body: { certificate: { id: otherId } }, fields: { name: "required field missing" } },
    { body: { name: "a.*.test" }, fields: { name: "wildcard must be leftmost or rightmost character" } },
    { body: { name: "*.*" }, fields: { name: "only one wildcard must be specified" } },
    { body: { name: "a*" }, fields: { name: "wildcard must be the whole of the leftmost or rightmost label" } },
    { body: { name: "[::1]" }, fields: { name: "must not be an IP" } },
    { body: { name: "a.test:443" }, fields: { name: "must not have a port" } },
  ])("refuse $body", async ({ body, fields }) => {
    const reply = await rig.send("POST", "/snis", body);
    expect(reply.status).toBe(400);
    expect(reply.json.fields).toMatchObject(fields);
  });

  it.each(["*", "*.a.test", "a.*", "xn--bcher-kva.test", "localhost"])("take %s", async (name) => {
    const { id } = await rig.create("/certificates", { ...pairOf(ec), snis: [name] });
    expect((await rig.send("GET", `/snis/${encodeURIComponent(name)}`)).json).toMatchObject({
      name,
      certificate: { id },
    });
  });
});

describe("/ca_certificates", () => {
  it("has its digest from us, once", async () => {
    const created = await rig.send("POST", "/ca_certificates", {
      cert: authority.certPem,
      cert_digest: "ab",
      tags: ["t"],
    });
    expectReply(created, 201, {
      id: uuid,
      cert: authority.certPem,
      cert_digest: authority.digest,
      tags: ["t"],
      created_at: seconds,
      updated_at: seconds,
    });
    // The same, wrapped in another way.
    const again = await rig.send("POST", "/ca_certificates", { cert: `# a comment\n${authority.certPem}\n` });
    expectReply(again, 409, {
      code: 5,
      name: "unique constraint violation",
      message: `UNIQUE violation detected on '{cert_digest="${authority.digest}"}'`,
      fields: { cert_digest: authority.digest },
    });
    expect((await rig.send("GET", `/ca_certificates/${created.json.id}`)).json).toEqual(created.json);
    expect((await rig.send("GET", "/ca_certificates/some-name")).status).toBe(404);
    expect((await rig.send("PUT", "/ca_certificates/some-name", { cert: ec.certPem })).status).toBe(404);
  });

  it.each([
    {
      name: "nothing",
      body: () => ({}),
      want: violation("schema violation (cert: required field missing)", { cert: "required field missing" }),
    },
    {
      name: "two",
      body: () => ({ cert: authority.certPem + ec.certPem }),
      want: ofEntity("please submit only one certificate at a time"),
    },
    {
      name: "an expired one",
      body: async () => ({ cert: (await makeAuthority({ notBefore: inDays(-9), notAfter: inDays(-1) })).certPem }),
      want: ofEntity('certificate expired, "Not After" time is in the past'),
    },
    {
      name: "a leaf",
      body: () => ({ cert: ec.certPem }),
      want: ofEntity('certificate does not appear to be a CA because it is missing the "CA" basic constraint'),
    },
    {
      name: "a broken one",
      body: () => ({ cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }),
      want: violation(
        "schema violation (cert: invalid certificate: error:068000A8:asn1 encoding routines::wrong tag)",
        { cert: "invalid certificate: error:068000A8:asn1 encoding routines::wrong tag" },
      ),
    },
  ])("refuses $name, and stores nothing", async ({ body, want }) => {
    expectReply(await rig.send("POST", "/ca_certificates", await body()), 400, want);
    expect(rig.store.image.revision).toBe(0);
  });

  it("stays while a service trusts it, and the service needs nothing more", async () => {
    const { id } = await rig.create("/ca_certificates", { cert: authority.certPem });
    const service = { name: "s", url: "https://h.test/", ca_certificates: [id], tls_verify: true, tls_verify_depth: 2 };
    const created = await rig.send("POST", "/services", service);
    expect([created.status, created.headers["penstock-warning"]]).toEqual([201, undefined]);
    expect((await rig.send("DELETE", `/ca_certificates/${id}`)).json).toMatchObject({
      code: 4,
      message: "an existing 'services' entity references this 'ca_certificates' entity",
    });
    await rig.send("PATCH", "/services/s", { ca_certificates: null });
    expect((await rig.send("DELETE", `/ca_certificates/${id}`)).status).toBe(204);
  });

  it("warns of one that ends within 30 days", async () => {
    const soon = await makeAuthority({ notAfter: inDays(1.5) });
    const created = await rig.send("POST", "/ca_certificates", { cert: soon.certPem });
    expect(created.headers["penstock-warning"]).toMatch(/^cert: expires at .*, in 1 day$/);
  });
});

describe("TLS to targets", () => {
  it("verifies without a word when tls_verify is left out", async () => {
    const created = await rig.send("POST", "/services", { name: "s", protocol: "https", host: "h.test", port: 443 });
    expect([created.json.tls_verify, created.headers["penstock-warning"]]).toEqual([null, undefined]);
    const route = { protocols: ["https"], snis: ["a.test"], https_redirect_status_code: 301 };
    const routed = await rig.send("POST", "/services/s/routes", route);
    expect([routed.status, routed.headers["penstock-warning"]]).toEqual([201, undefined]);
  });
});
