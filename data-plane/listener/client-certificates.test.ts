import { afterEach, describe, expect, it } from "vitest";
import {
  type CertificateInit,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from "../../test/support/certificates.ts";
import type { ClientAuthenticationConfig, TlsConfig } from "../config/tls-config.ts";
import { answerText, type Backend, openBackend, type Rig, until } from "./proxy-server.test-rig.ts";
import { certificateConfig, openTlsRig, serverCertificate, TlsClient, tlsConfig } from "./tls-server.test-rig.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const [root, other, server, open] = await Promise.all([
  makeAuthority("Clients"),
  makeAuthority("Others"),
  serverCertificate("safe.test"),
  serverCertificate("open.test"),
]);
const between = await makeAuthority({ commonName: "Between", issuer: root });
const below = await makeAuthority({ commonName: "Below", issuer: between });
const leaf = (init: CertificateInit) => makeCertificate({ commonName: "client", usages: ["clientAuth"], ...init });
const [good, deep, deeper] = await Promise.all([
  leaf({ issuer: root }),
  leaf({ issuer: between }),
  leaf({ issuer: below }),
]);

function asking(given: Partial<ClientAuthenticationConfig> = {}): TlsConfig {
  const asked = { isRequired: true, caPems: [root.certPem], depthMax: 1, ...given };
  return tlsConfig({ "safe.test": certificateConfig("1", server, asked), "open.test": certificateConfig("2", open) });
}

async function rigAndTarget(tls: TlsConfig): Promise<{ rig: Rig; target: Backend }> {
  const target = await openBackend((_, socket) => void socket.write(answerText("ok")));
  const rig = await openTlsRig({ ports: [target.port], tls });
  opened.push(target, rig);
  return { rig, target };
}

/** Status and body of a request; what a client shows is `shown`. */
async function ask(rig: Rig, shown: TestCertificate | null, name = "safe.test", host = name, lines = "") {
  const pair = shown === null ? {} : { cert: shown.chainPem, key: shown.keyPem };
  const client = await TlsClient.open(rig, { servername: name, ...pair });
  opened.push(client);
  const { head, body } = await client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`).answer();
  return { status: Number(head.split(" ")[1]), body, head, client };
}

const derOf = ({ certificate }: TestCertificate) => `:${Buffer.from(certificate.rawData).toString("base64")}:`;

describe("client certificates", () => {
  it("are asked for under the names of a certificate that wants them, and passed on", async () => {
    const { rig, target } = await rigAndTarget(asking());
    expect((await ask(rig, good)).status).toBe(200);
    expect(target.requests[0]!.head).toContain(`\r\nClient-Cert: ${derOf(good)}\r\n`);
    expect(target.requests[0]!.head).not.toMatch(/client-cert-chain/i);
    expect((await ask(rig, deep)).status).toBe(200);
    expect(target.requests[1]!.head).toContain(`\r\nClient-Cert: ${derOf(deep)}\r\n`);
    expect(target.requests[1]!.head).toContain(`\r\nClient-Cert-Chain: ${derOf(between)}\r\n`);
    expect((await ask(rig, good, "open.test")).status).toBe(200);
    expect(target.requests[2]!.head).not.toMatch(/client-cert/i);
    expect(rig.defects).toEqual([]);
  });

  it("are never taken from a header", async () => {
    const { rig, target } = await rigAndTarget(asking());
    const lies =
      "Client-Cert: :AAAA:\r\nCLIENT_CERT: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\nclient-cert-chain: :BBBB:\r\n";
    expect((await ask(rig, null, "open.test", "open.test", lies)).status).toBe(200);
    expect((await ask(rig, good, "safe.test", "safe.test", lies)).status).toBe(200);
    for (const text of ["AAAA", "BBBB"]) expect(JSON.stringify(target.requests)).not.toContain(`:${text}:`);
    expect(target.requests[0]!.head).not.toMatch(/client.cert/i);
    expect(target.requests[1]!.head.match(/client.cert/gi)).toHaveLength(1);
  });

  it("are required: without one the answer says so, and the connection ends", async () => {
    const { rig, target } = await rigAndTarget(asking());
    const { status, body, client } = await ask(rig, null);
    expect([status, body.split("\n")[0]]).toEqual([400, "client certificate required"]);
    expect(await client.closed()).toBe("end");
    expect(target.connectionCount).toBe(0);
    await until(() => rig.counter("connections_active") === 0);
  });

  it("are optional if so said, but what is shown must be valid", async () => {
    const { rig, target } = await rigAndTarget(asking({ isRequired: false }));
    expect((await ask(rig, null)).status).toBe(200);
    expect(target.requests[0]!.head).not.toMatch(/client-cert/i);
    expect((await ask(rig, good)).status).toBe(200);
    expect((await ask(rig, await leaf({ issuer: other }))).body).toContain("client certificate invalid");
  });

  it("are refused with the reason, and no target hears of it", async () => {
    const { rig, target } = await rigAndTarget(asking());
    const { status, head, body, client } = await ask(rig, await leaf({ issuer: other }));
    expect([status, body.split("\n")[0]]).toEqual([400, "client certificate invalid"]);
    expect(head).toContain('details="UNABLE_TO_GET_ISSUER_CERT_LOCALLY"');
    await client.closed();
    expect(target.connectionCount).toBe(0);
  });

  it("are refused when their chain is too deep", async () => {
    const { rig } = await rigAndTarget(asking());
    expect((await ask(rig, deep)).status).toBe(200);
    expect((await ask(rig, deeper)).status).toBe(400);
    rig.apply({ ports: [], tls: asking({ depthMax: 0 }) });
    expect((await ask(rig, deep)).status).toBe(400);
    rig.apply({ ports: [], tls: asking({ depthMax: 2 }) });
    expect((await ask(rig, deeper)).status).toBe(503);
  });

  it("may be verified against an authority that another one has issued", async () => {
    const { rig } = await rigAndTarget(asking({ caPems: [between.certPem], depthMax: 0 }));
    expect((await ask(rig, deep)).status).toBe(200);
    expect((await ask(rig, good)).status).toBe(400);
  });

  it("let nobody in by another name, with or without the check of names", async () => {
    const { target } = await rigAndTarget(asking());
    for (const checksServerNames of [true, false]) {
      const rig = await openTlsRig({ ports: [target.port], tls: asking() }, { checksServerNames });
      opened.push(rig);
      expect((await ask(rig, null, "open.test", "safe.test")).status).toBe(421);
      expect((await ask(rig, good, "open.test", "safe.test")).status).toBe(421);
      expect((await ask(rig, null, "localhost", "safe.test")).status).toBe(421);
    }
  });

  it("are verified anew for each connection: no session is resumed, nor carried over from another name", async () => {
    const { rig } = await rigAndTarget(asking());
    const session = await (await ask(rig, null, "open.test")).client.session();
    for (const servername of ["safe.test", "open.test"]) {
      const client = await TlsClient.open(rig, { servername, session, checkServerIdentity: () => undefined });
      opened.push(client);
      expect(client.socket.isSessionReused()).toBe(servername === "open.test");
    }
    const sessions: Buffer[] = [];
    const { client } = await ask(rig, good);
    client.socket.on("session", (one: Buffer) => sessions.push(one));
    for (let i = 0; i < 3; i++) await client.send("GET / HTTP/1.1\r\nHost: safe.test\r\n\r\n").answer();
    expect(sessions).toEqual([]);
  });

  it("have to be shown again when others are asked for", async () => {
    const { rig } = await rigAndTarget(asking());
    const { client } = await ask(rig, good);
    const again = async () => {
      const { head } = await client.send("GET / HTTP/1.1\r\nHost: safe.test\r\n\r\n").answer();
      return head.split(" ")[1];
    };
    expect(await again()).toBe("200");
    rig.apply({ ports: [], tls: asking({ caPems: [other.certPem] }) });
    expect(await again()).toBe("421");
    rig.apply({ ports: [], tls: asking() });
    expect(await again()).toBe("503");
  });
});
