import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import { ServiceTlsCompilation } from "./compile-service-tls.ts";

const pair = { certPem: "cert", keyPem: "key" };
const otherPair = { certPem: "other cert", keyPem: "other key" };
const lookup = {
  authority: (id: string) => (id.startsWith("ca") ? `PEM of ${id}` : undefined),
  pairs: (id: string) => ({ c1: [pair], c2: [otherPair] })[id],
};

function compile(init: MessageInitShape<typeof ServiceSchema>, shownId?: string) {
  const compilation = new ServiceTlsCompilation(lookup);
  const message = create(ServiceSchema, { host: "a.test", ...init });
  return compilation.compile(message, shownId);
}

function settingsOf(...given: Parameters<typeof compile>): Omit<UpstreamTlsConfig, "key"> {
  const outcome = compile(...given);
  if (!outcome.ok) throw new Error(outcome.problem.message);
  const { key: _, ...settings } = outcome.value;
  return settings;
}

describe("ServiceTlsCompilation", () => {
  it("verifies targets where the service says nothing, with the node's own authorities", () => {
    expect(settingsOf({})).toEqual({ isVerified: true, depthMax: null, caPems: null, clientPairs: [] });
  });

  it("does as the service says", () => {
    const settings = settingsOf({
      tlsVerify: false,
      tlsVerifyDepth: 2,
      caCertificates: ["ca1", "ca2"],
      clientCertificate: { id: "c1" },
    });
    expect(settings).toEqual({
      isVerified: false,
      depthMax: 2,
      caPems: ["PEM of ca1", "PEM of ca2"],
      clientPairs: [pair],
    });
  });

  it("shows the upstream's certificate only where the service names none", () => {
    expect(settingsOf({}, "c2").clientPairs).toEqual([otherPair]);
    expect(settingsOf({ clientCertificate: { id: "c1" } }, "c2").clientPairs).toEqual([pair]);
  });

  it("makes one object of equal settings, and another key of any other", () => {
    const compilation = new ServiceTlsCompilation(lookup);
    const of = (init: MessageInitShape<typeof ServiceSchema>) => {
      const outcome = compilation.compile(create(ServiceSchema, init), undefined);
      return outcome.ok ? outcome.value : null;
    };
    expect(of({ host: "a", tlsVerifyDepth: 1 })).toBe(of({ host: "b", tlsVerifyDepth: 1 }));
    const variants = [{}, { tlsVerify: false }, { tlsVerifyDepth: 1 }, { caCertificates: ["ca1"] }];
    const keys = [...variants, { clientCertificate: { id: "c1" } }].map((init) => of(init)?.key);
    expect(new Set(keys).size).toBe(5);
  });

  it.each([
    [{ caCertificates: ["ca1", "nobody"] }, "ca_certificates[1]"],
    [{ clientCertificate: { id: "nobody" } }, "client_certificate"],
    [{ tlsVerifyDepth: 65 }, "tls_verify_depth"],
  ])("refuses %o", (init, field) => {
    expect(compile(init)).toMatchObject({ ok: false, problem: { field } });
  });
});
