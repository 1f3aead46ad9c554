import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { CertificateSchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import {
  caCertificate,
  certificate,
  limits,
  readPlan,
  route,
  snapshot,
  sni,
  ticketKey,
  trial,
} from "./compile-snapshot.test-entities.ts";
import { compileSnapshot } from "./compile-snapshot.ts";

const authority = await makeAuthority();
const [ec, rsa, weak] = await Promise.all([
  makeCertificate({ names: ["a.test"], issuer: authority }),
  makeCertificate({ names: ["a.test"], key: "rsa" }),
  makeCertificate({ key: "rsa-1024" }),
]);
const otherAuthority = await makeAuthority("Another");
const pair = { cert: ec.chainPem, key: ec.keyPem };
const alt = { certAlt: rsa.certPem, keyAlt: rsa.keyPem };
const ca = caCertificate({ id: "ca1", cert: authority.certPem });
const key = Buffer.alloc(48, 1);

function compile(...entities: SnapshotEntity[]) {
  return compileSnapshot(snapshot(entities), limits, trial);
}

describe("compileSnapshot, of TLS,", () => {
  it("makes names, certificates and what is asked of clients ready for workers", () => {
    const outcome = compile(
      sni({ id: "n1", name: "A.test", certificate: { id: "c1" } }),
      sni({ id: "n2", name: "*.a.test", certificate: { id: "c1" } }),
      sni({ id: "n3", name: "*", certificate: { id: "c2" } }),
      certificate({ id: "c0", ...pair }),
      certificate({ id: "c1", ...pair, ...alt }),
      certificate({ id: "c2", ...pair, clientAuthentication: { caCertificates: ["ca1"] } }),
      ca,
      ticketKey({ id: "t1", key }),
    );
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.refusal));
    const [first, second] = [
      { certPem: ec.chainPem, keyPem: ec.keyPem },
      { certPem: rsa.certPem, keyPem: rsa.keyPem },
    ];
    expect(outcome.plan.tls).toEqual({
      certificates: [
        { id: "c1", key: expect.any(String), pairs: [first, second], clientAuthentication: null },
        {
          id: "c2",
          key: expect.any(String),
          pairs: [first],
          clientAuthentication: { isRequired: true, depthMax: 1, caPems: [authority.certPem] },
        },
      ],
      serverNames: [
        { name: "a.test", certificateIndex: 0 },
        { name: "*.a.test", certificateIndex: 0 },
        { name: "*", certificateIndex: 1 },
      ],
      ticketKey: new Uint8Array(key),
    });
    expect(outcome.plan.expiries.map(({ id }) => id)).toEqual(["c0", "c1", "c2"]);
  });

  it("gives each certificate a key that changes with anything of it, and with nothing else", () => {
    const keyOf = (given: MessageInitShape<typeof CertificateSchema>, authorityPem = authority.certPem) => {
      const entities = [
        caCertificate({ id: "ca1", cert: authorityPem }),
        certificate({ id: "c1", ...pair, ...given }),
        sni({ id: "n1", name: "a.test", certificate: { id: "c1" } }),
      ];
      const outcome = compile(...entities);
      if (!outcome.ok) throw new Error(outcome.refusal.message);
      return outcome.plan.tls.certificates[0]!.key;
    };
    const asked = { clientAuthentication: { caCertificates: ["ca1"] } };
    const keys = [
      keyOf({}),
      keyOf(alt),
      keyOf({ cert: rsa.certPem, key: rsa.keyPem }),
      keyOf(asked),
      keyOf({ clientAuthentication: { ...asked.clientAuthentication, depth: 2 } }),
      keyOf(asked, otherAuthority.certPem),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf({ tags: ["t"] })).toBe(keys[0]);
  });

  it("keeps server names of routes as they are compared", () => {
    const outcome = compile(route({ id: "r1", snis: ["A.test.", "*.b.test", "c.*"] }));
    if (!outcome.ok) throw new Error(outcome.refusal.message);
    const { routes } = readPlan(outcome.plan);
    expect(routes[0]!.snis).toEqual(["a.test", "*.b.test", "c.*"]);
  });

  it.each<{ name: string; entities: SnapshotEntity[]; want: object }>([
    {
      name: "a certificate that cannot be read",
      entities: [certificate({ id: "c1", ...pair, cert: "x" })],
      want: { entityKind: "certificate", entityId: "c1", field: "cert" },
    },
    {
      name: "a key of another certificate",
      entities: [certificate({ id: "c1", ...pair, key: rsa.keyPem })],
      want: { field: "key", message: "does not match the certificate" },
    },
    {
      name: "a key that is too weak to be served",
      entities: [certificate({ id: "c1", cert: weak.certPem, key: weak.keyPem })],
      want: { field: "cert", message: "cannot be served: ee key too small" },
    },
    {
      name: "a second pair of the same type",
      entities: [certificate({ id: "c1", ...pair, certAlt: pair.cert, keyAlt: pair.key })],
      want: { field: "cert_alt" },
    },
    {
      name: "half a second pair",
      entities: [certificate({ id: "c1", ...pair, certAlt: rsa.certPem })],
      want: { field: "key_alt" },
    },
    {
      name: "a second pair that does not match",
      entities: [certificate({ id: "c1", ...pair, certAlt: rsa.certPem, keyAlt: weak.keyPem })],
      want: { field: "key_alt" },
    },
    {
      name: "clients verified against nobody",
      entities: [certificate({ id: "c1", ...pair, clientAuthentication: {} })],
      want: { field: "client_authentication.ca_certificates" },
    },
    {
      name: "an authority that is not there",
      entities: [ca, certificate({ id: "c1", ...pair, clientAuthentication: { caCertificates: ["ca1", "ca2"] } })],
      want: { reason: "dangling_reference", field: "client_authentication.ca_certificates[1]" },
    },
    {
      name: "a depth below 0",
      entities: [ca, certificate({ id: "c1", ...pair, clientAuthentication: { caCertificates: ["ca1"], depth: -1 } })],
      want: { field: "client_authentication.depth" },
    },
    {
      name: "a leaf for an authority",
      entities: [caCertificate({ id: "ca1", cert: ec.certPem })],
      want: { entityKind: "ca_certificate", field: "cert" },
    },
    {
      name: "a name of no certificate",
      entities: [sni({ id: "n1", name: "a.test", certificate: { id: "c9" } })],
      want: { reason: "dangling_reference", entityKind: "sni", entityName: "a.test", field: "certificate" },
    },
    {
      name: "a name twice",
      entities: [
        certificate({ id: "c1", ...pair }),
        sni({ id: "n1", name: "a.test", certificate: { id: "c1" } }),
        sni({ id: "n2", name: "A.test", certificate: { id: "c1" } }),
      ],
      want: { entityId: "n2", field: "name" },
    },
    {
      name: "a wildcard in the middle",
      entities: [certificate({ id: "c1", ...pair }), sni({ id: "n1", name: "a.*.test", certificate: { id: "c1" } })],
      want: { field: "name" },
    },
    { name: "a short ticket key", entities: [ticketKey({ id: "t1", key: Buffer.alloc(47) })], want: { field: "key" } },
    {
      name: "a second ticket key",
      entities: [ticketKey({ id: "t1", key }), ticketKey({ id: "t2", key })],
      want: { reason: "limit_exceeded", entityKind: "ticket_key" },
    },
    {
      name: "more certificates than the limit",
      entities: [1, 2, 3, 4].map((i) => certificate({ id: `c${i}`, ...pair })),
      want: { reason: "limit_exceeded", entityKind: "certificate", entityId: "c4" },
    },
    {
      name: "a route's server name with a wildcard in the middle",
      entities: [route({ id: "r1", snis: ["a.*.b"] })],
      want: { entityKind: "route", field: "snis[0]" },
    },
  ])("refuses $name", ({ entities, want }) => {
    const outcome = compile(...entities);
    expect(outcome).toMatchObject({ ok: false, refusal: { reason: "invalid_entity", ...want } });
    expect(JSON.stringify(outcome)).not.toContain("PRIVATE KEY");
  });
});
