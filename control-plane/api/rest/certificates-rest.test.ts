import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate, type TestCertificate } from "../../../test/support/certificates.ts";
import { expectReply, uuid } from "../../../test/support/kong-expectations.ts";
import { type RestRig, rigTimeMs, startRestRig } from "../../../test/support/rest-rig.ts";

const dayMs = 86_400_000;
const inDays = (days: number) => new Date(rigTimeMs + days * dayMs);
const seconds = Math.floor(rigTimeMs / 1000);
const otherId = "22222222-2222-4222-8222-222222222222";

let ec: TestCertificate;
let ecToo: TestCertificate;
let rsa: TestCertificate;
let rsaToo: TestCertificate;
let authority: TestCertificate;
let rig: RestRig;

beforeAll(async () => {
  const made = await Promise.all([
    makeCertificate({ names: ["a.test"] }),
    makeCertificate({ names: ["b.test"] }),
    makeCertificate({ names: ["a.test"], key: "rsa" }),
    makeCertificate({ names: ["b.test"], key: "rsa" }),
    makeAuthority("CA"),
  ]);
  [ec, ecToo, rsa, rsaToo, authority] = made;
});
beforeEach(async () => {
  rig = await startRestRig();
});
afterEach(() => rig.close());

const pairOf = ({ certPem, keyPem }: TestCertificate) => ({ cert: certPem, key: keyPem });
const violation = (message: string, fields: object) => ({ code: 2, name: "schema violation", message, fields });
const ofEntity = (message: string) => violation(`schema violation (${message})`, { "@entity": [message] });

describe("/certificates", () => {
  it("creates one with its server names, and shows the key in a single read only", async () => {
    const created = await rig.send("POST", "/certificates", {
      ...pairOf(ec),
      snis: ["a.test", "*.a.test"],
      tags: ["t"],
    });
    const shown = {
      id: uuid,
      cert: ec.certPem,
      key: "***",
      cert_alt: null,
      key_alt: null,
      snis: ["*.a.test", "a.test"],
      tags: ["t"],
      created_at: seconds,
      updated_at: seconds,
      client_authentication: null,
    };
    expectReply(created, 201, shown);
    expect(created.headers["penstock-warning"]).toBeUndefined();
    const { id } = created.json;
    expectReply(await rig.send("GET", `/certificates/${id}`), 200, { ...shown, key: ec.keyPem });
    expectReply(await rig.send("GET", "/certificates/a.test"), 200, { ...shown, key: ec.keyPem });
    expectReply(await rig.send("GET", "/certificates"), 200, { data: [shown], next: null });
    const names = (await rig.send("GET", `/certificates/${id}/snis`)).json.data;
    expect(names.map(({ name, certificate }: { name: string; certificate: object }) => [name, certificate])).toEqual(
      expect.arrayContaining([
        ["a.test", { id }],
        ["*.a.test", { id }],
      ]),
    );
  });

  it("is one revision, whatever it writes with it", async () => {
    await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test", "b.test"] });
    expect(rig.store.image.revision).toBe(1);
    expect(rig.store.image.count("sni")).toBe(2);
  });

  it("takes a pair of another key type beside it, and an intermediate behind it", async () => {
    const intermediate = await makeCertificate({ commonName: "Intermediate", issuer: authority, isAuthority: true });
    const leaf = await makeCertificate({ names: ["c.test"], issuer: intermediate });
    const body = { cert: leaf.chainPem, key: leaf.keyPem, cert_alt: rsa.certPem, key_alt: rsa.keyPem };
    const { id } = await rig.create("/certificates", body);
    expect((await rig.send("GET", `/certificates/${id}`)).json).toMatchObject(body);
  });

  it.each([
    {
      name: "neither certificate nor key",
      body: () => ({}),
      want: violation("2 schema violations (cert: required field missing; key: required field missing)", {
        cert: "required field missing",
        key: "required field missing",
      }),
    },
    {
      name: "a key of another certificate",
      body: () => ({ ...pairOf(ec), key: ecToo.keyPem }),
      want: ofEntity("certificate does not match key"),
    },
    {
      name: "a key of another type",
      body: () => ({ ...pairOf(ec), key: rsa.keyPem }),
      want: ofEntity("certificate does not match key"),
    },
    {
      name: "an alternative whose key is another's",
      body: () => ({ ...pairOf(ec), cert_alt: rsa.certPem, key_alt: rsaToo.keyPem }),
      want: ofEntity("alternative certificate does not match key"),
    },
    {
      name: "half an alternative",
      body: () => ({ ...pairOf(ec), cert_alt: rsa.certPem }),
      want: ofEntity("all or none of these fields must be set: 'cert_alt', 'key_alt'"),
    },
    {
      name: "an alternative of the same type",
      body: () => ({ ...pairOf(ec), cert_alt: ecToo.certPem, key_alt: ecToo.keyPem }),
      want: ofEntity(
        "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided certificates were both of the same type",
      ),
    },
    {
      name: "an expired certificate",
      body: async () => pairOf(await makeCertificate({ notBefore: inDays(-9), notAfter: inDays(-1) })),
      want: ofEntity('certificate expired, "Not After" time is in the past'),
    },
    {
      name: "a key that no node would serve",
      body: async () => pairOf(await makeCertificate({ key: "rsa-1024" })),
      want: violation("schema violation (cert: invalid certificate: error:0A00018F:SSL routines::ee key too small)", {
        cert: "invalid certificate: error:0A00018F:SSL routines::ee key too small",
      }),
    },
    {
      name: "a mask where nothing is stored",
      body: () => ({ ...pairOf(ec), key: "***" }),
      want: violation("schema violation (key: invalid key: error:1E08010C:DECODER routines::unsupported)", {
        key: "invalid key: error:1E08010C:DECODER routines::unsupported",
      }),
    },
    {
      name: "a private key among the certificates",
      body: () => ({ ...pairOf(ec), cert: ec.certPem + ec.keyPem }),
      want: violation("schema violation (cert: invalid certificate: it holds a private key)", {
        cert: "invalid certificate: it holds a private key",
      }),
    },
    {
      name: "broken texts, all at once",
      body: () => ({ cert: "x", key: "y", snis: ["a.*.test", "1.2.3.4", "*x.test"], tags: ["a,b"] }),
      want: violation(
        "6 schema violations (cert: invalid certificate: error:0480006C:PEM routines::no start line; key: invalid key: error:1E08010C:DECODER routines::unsupported; snis.1: wildcard must be leftmost or rightmost character; snis.2: must not be an IP; snis.3: wildcard must be the whole of the leftmost or rightmost label; tags.1: invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences)",
        {
          cert: "invalid certificate: error:0480006C:PEM routines::no start line",
          key: "invalid key: error:1E08010C:DECODER routines::unsupported",
          snis: [
            "wildcard must be leftmost or rightmost character",
            "must not be an IP",
            "wildcard must be the whole of the leftmost or rightmost label",
          ],
          tags: ["invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"],
        },
      ),
    },
  ])("refuses $name, and stores nothing", async ({ body, want }) => {
    expectReply(await rig.send("POST", "/certificates", await body()), 400, want);
    expect(rig.store.image.revision).toBe(0);
  });

  it("refuses a name that another certificate has, in the list and by itself", async () => {
    const { id } = await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test"] });
    const message = `a.test already associated with existing certificate '${id}'`;
    const again = await rig.send("POST", "/certificates", { ...pairOf(ecToo), snis: ["b.test", "A.TEST"] });
    expectReply(again, 400, violation(`schema violation (snis: ${message})`, { snis: message }));
    expect(rig.store.image.count("certificate")).toBe(1);
    expect(rig.store.image.count("sni")).toBe(1);
    const byItself = await rig.send("POST", "/snis", { name: "A.test", certificate: { id } });
    expectReply(byItself, 409, {
      code: 5,
      name: "unique constraint violation",
      message: `UNIQUE violation detected on '{name="a.test"}'`,
      fields: { name: "A.test" },
    });
  });

  it("makes the list that a write names the certificate's list, and leaves it alone otherwise", async () => {
    const { id } = await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test", "b.test"] });
    const kept = await rig.send("GET", "/snis/a.test");
    expect((await rig.send("PATCH", `/certificates/${id}`, { snis: ["a.test", "c.test"] })).json.snis).toEqual([
      "a.test",
      "c.test",
    ]);
    expect((await rig.send("GET", "/snis/a.test")).json).toEqual(kept.json);
    expect((await rig.send("GET", "/snis/b.test")).status).toBe(404);
    // As decK writes: the whole certificate without its names.
    expect((await rig.send("PUT", `/certificates/${id}`, pairOf(rsa))).json.snis).toEqual(["a.test", "c.test"]);
    expect((await rig.send("PATCH", `/certificates/${id}`, { snis: null })).json.snis).toBeNull();
    expect(rig.store.image.count("sni")).toBe(0);
  });

  it("is written back as it was read, masks and all", async () => {
    const { id } = await rig.create("/certificates", {
      ...pairOf(ec),
      cert_alt: rsa.certPem,
      key_alt: rsa.keyPem,
      snis: ["a.test"],
    });
    const read = (await rig.send("GET", "/certificates")).json.data[0];
    expect([read.key, read.key_alt]).toEqual(["***", "***"]);
    for (const method of ["PUT", "PATCH"]) {
      const written = await rig.send(method, `/certificates/${id}`, { ...read, tags: [method] });
      expect(written.status).toBe(200);
      expect((await rig.send("GET", `/certificates/${id}`)).json).toMatchObject({
        key: ec.keyPem,
        key_alt: rsa.keyPem,
        snis: ["a.test"],
        tags: [method],
      });
    }
    const mismatch = await rig.send("PATCH", `/certificates/${id}`, { cert: ecToo.certPem, key: "***" });
    expectReply(mismatch, 400, ofEntity("certificate does not match key"));
  });

  it("warns of one that ends within 30 days, and lets one that is over be changed but not written anew", async () => {
    const soon = await makeCertificate({ notAfter: inDays(10) });
    const created = await rig.send("POST", "/certificates", pairOf(soon));
    const end = new Date(soon.certificate.notAfter).toISOString();
    expect(created.headers["penstock-warning"]).toBe(`cert: expires at ${end}, in 9 days`);
    rig.nowMs += 20 * dayMs;
    const tagged = await rig.send("PATCH", `/certificates/${created.json.id}`, { tags: ["old"] });
    expect([tagged.status, tagged.headers["penstock-warning"]]).toEqual([200, `cert: expired at ${end}`]);
    const again = await rig.send("POST", "/certificates", pairOf(soon));
    expectReply(again, 400, ofEntity('certificate expired, "Not After" time is in the past'));
  });

  it("is looked for by server name in Kong's words", async () => {
    const unknown = { message: "SNI not found" };
    for (const [method, path] of [
      ["GET", "/certificates/nope.test"],
      ["PATCH", "/certificates/nope.test"],
      ["DELETE", "/certificates/nope.test"],
      ["GET", "/certificates/nope.test/snis"],
    ] as const)
      expectReply(await rig.send(method, path, method === "PATCH" ? { tags: [] } : undefined), 404, unknown);
    expectReply(await rig.send("GET", `/certificates/${otherId}`), 404, { message: "Not found" });
    expect((await rig.send("DELETE", `/certificates/${otherId}`)).status).toBe(204);
  });

  it("is created with the unknown name that it is put under, and found under it then", async () => {
    const put = await rig.send("PUT", "/certificates/New.test", { ...pairOf(ec), snis: ["more.test"] });
    expect([put.status, put.json.snis]).toEqual([200, ["more.test", "new.test"]]);
    const again = await rig.send("PUT", "/certificates/new.test", pairOf(rsa));
    expect(again.json).toMatchObject({ id: put.json.id, cert: rsa.certPem, snis: ["more.test", "new.test"] });
    expect((await rig.send("PUT", "/certificates/a..test", pairOf(ec))).json.fields).toEqual({
      snis: ["invalid value: a..test"],
    });
  });

  it("takes its names with it when it goes, unless something still refers to it", async () => {
    const { id } = await rig.create("/certificates", { ...pairOf(ec), snis: ["a.test"] });
    const upstream = await rig.create("/upstreams", { name: "u", client_certificate: { id } });
    const service = await rig.create(`/certificates/${id}/services`, { host: "h.test", protocol: "https" });
    expect(service.client_certificate).toEqual({ id });
    const refused = (collection: string) => ({
      code: 4,
      name: "foreign key violation",
      message: `an existing '${collection}' entity references this 'certificates' entity`,
      fields: { "@referenced_by": collection },
    });
    expectReply(await rig.send("DELETE", `/certificates/${id}`), 400, refused("services"));
    expect((await rig.send("GET", `/certificates/${id}/services`)).json.data).toMatchObject([{ id: service.id }]);
    expect((await rig.send("GET", "/certificates/a.test/upstreams")).json.data).toMatchObject([{ id: upstream.id }]);
    await rig.send("DELETE", `/services/${service.id}`);
    expectReply(await rig.send("DELETE", "/certificates/a.test"), 400, refused("upstreams"));
    await rig.send("PATCH", "/upstreams/u", { client_certificate: null });
    expect((await rig.send("DELETE", `/certificates/${id}`)).status).toBe(204);
    expect([rig.store.image.count("certificate"), rig.store.image.count("sni")]).toEqual([0, 0]);
  });

  it("asks clients for certificates of the authorities that it names, and keeps that over a client of Kong", async () => {
    const { id: ca } = await rig.create("/ca_certificates", { cert: authority.certPem });
    const asked = { client_authentication: { ca_certificates: [ca] } };
    const { id, client_authentication } = await rig.create("/certificates", { ...pairOf(ec), ...asked });
    expect(client_authentication).toEqual({ mode: "required", ca_certificates: [ca], depth: null });
    await rig.send("PUT", `/certificates/${id}`, pairOf(rsa));
    const patched = await rig.send("PATCH", `/certificates/${id}`, { client_authentication: { mode: "optional" } });
    expect(patched.json.client_authentication).toEqual({ mode: "optional", ca_certificates: [ca], depth: null });
    const nobody = await rig.send("POST", "/certificates", { ...pairOf(ec), client_authentication: { depth: 65 } });
    expect(nobody.json.fields).toEqual({
      client_authentication: {
        ca_certificates: "length must be at least 1",
        depth: "value should be between 0 and 64",
      },
    });
    const dangling = { client_authentication: { ca_certificates: [otherId] } };
    expect((await rig.send("POST", "/certificates", { ...pairOf(ec), ...dangling })).json).toMatchObject({ code: 4 });
    expect((await rig.send("DELETE", `/ca_certificates/${ca}`)).json).toMatchObject({
      code: 4,
      fields: { "@referenced_by": "certificates" },
    });
    await rig.send("PATCH", `/certificates/${id}`, { client_authentication: null });
    expect((await rig.send("DELETE", `/ca_certificates/${ca}`)).status).toBe(204);
  });

  it("takes a form as curl sends it", async () => {
    const form = new URLSearchParams({ cert: ec.certPem, key: ec.keyPem });
    form.append("snis[]", "a.test");
    form.append("snis[]", "b.test");
    const created = await rig.send("POST", "/certificates", form.toString());
    expect([created.status, created.json.snis]).toEqual([201, ["a.test", "b.test"]]);
  });
});
