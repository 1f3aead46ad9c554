import { describe, expect, it } from "vitest";
import { type EncodedTls, TlsDecoder, TlsEncoder } from "./encoded-tls.ts";
import type { CertificateConfig, TlsConfig } from "./tls-config.ts";

function certificate(i: number, given: Partial<CertificateConfig> = {}): CertificateConfig {
  const pairs = [{ certPem: `cert é ${i}`, keyPem: `key ${i}` }];
  return { id: `c${i}`, key: `k${i}`, pairs, clientAuthentication: null, ...given };
}

function config(certificates: readonly CertificateConfig[]): TlsConfig {
  const serverNames = certificates.map(({ id }, certificateIndex) => ({ name: `${id}.test`, certificateIndex }));
  return { certificates, serverNames, ticketKey: new Uint8Array([1, 2, 3]) };
}

const many = (count: number) => Array.from({ length: count }, (_, i) => certificate(i));

/** As it arrives in another thread, with what is read when it is asked for. */
function arrived(encoded: EncodedTls, decoder = new TlsDecoder()): TlsConfig {
  const { certificates, ...rest } = decoder.decode(structuredClone(encoded));
  const read = certificates.map(({ id, key, pairs, clientAuthentication }) => {
    return { id, key, pairs, clientAuthentication };
  });
  return { certificates: read, ...rest };
}

describe("TlsEncoder", () => {
  it.each([0, 1, 31, 32, 33, 100])("encodes %d certificates so that they are read as they were", (count) => {
    expect(arrived(new TlsEncoder().encode(config(many(count))))).toEqual(config(many(count)));
  });

  it("keeps what is asked of clients, and two pairs", () => {
    const asked = { isRequired: true, caPems: ["ca"], depthMax: 3 };
    const pairs = [1, 2].map((i) => ({ certPem: `c${i}`, keyPem: `k${i}` }));
    const whole = config([certificate(0), certificate(1, { clientAuthentication: asked, pairs })]);
    const encoded = new TlsEncoder().encode(whole);
    expect(arrived(encoded)).toEqual(whole);
    const { certificates } = new TlsDecoder().decode(encoded);
    // Requests ask for it.
    expect(certificates[1]!.clientAuthentication).toBe(certificates[1]!.clientAuthentication);
  });

  it("encodes what has changed, and shares the rest with the config before", () => {
    const encoder = new TlsEncoder();
    const first = encoder.encode(config(many(100)));
    const changed = many(100).with(40, certificate(40, { key: "other", pairs: [{ certPem: "new", keyPem: "new" }] }));
    const second = encoder.encode(config(changed));
    expect(first.pages).toHaveLength(4);
    expect(second.pages.map(({ bytes }, i) => bytes === first.pages[i]!.bytes)).toEqual([true, false, true, true]);
    expect(arrived(second)).toEqual(config(changed));
    expect(arrived(first)).toEqual(config(many(100)));
    const fewer = encoder.encode(config(many(32)));
    expect(fewer.pages).toEqual([first.pages[0]]);
  });

  it("has the same objects for what has not changed, in every config that a worker gets", () => {
    const [encoder, decoder] = [new TlsEncoder(), new TlsDecoder()];
    const take = (certificates: readonly CertificateConfig[]) =>
      decoder.decode(structuredClone(encoder.encode(config(certificates)))).certificates;
    const first = take(many(100));
    const second = take(many(100).with(40, certificate(40, { key: "other" })));
    expect(second.map((one, i) => one === first[i]).lastIndexOf(false)).toBe(63);
    expect(second.map((one, i) => one === first[i]).indexOf(false)).toBe(32);
    expect([first[40]!.key, second[40]!.key]).toEqual(["k40", "other"]);
    // Of another order, of which none is as before.
    expect(take(many(100).toReversed()).map(({ id }) => id)).toEqual(
      many(100)
        .map(({ id }) => id)
        .toReversed(),
    );
  });
});
