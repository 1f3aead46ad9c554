import { connect as connectPlain } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import {
  answerText,
  type Backend,
  get,
  openBackend,
  post,
  RawClient,
  type Rig,
  until,
} from "./proxy-server.test-rig.ts";
import {
  certificateConfig,
  handshakeError,
  openTlsRig,
  serverCertificate,
  TlsClient,
  tlsConfig,
} from "./tls-server.test-rig.ts";
import { authority } from "./tls-settings.test-rig.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function target(): Promise<Backend> {
  const backend = await openBackend((request, socket) => void socket.write(answerText(request.body || "ok")));
  opened.push(backend);
  return backend;
}

async function openRig(...given: Parameters<typeof openTlsRig>): Promise<Rig> {
  const rig = await openTlsRig(...given);
  opened.push(rig);
  return rig;
}

async function open(rig: Rig, options: Parameters<typeof TlsClient.open>[1] = {}): Promise<TlsClient> {
  const client = await TlsClient.open(rig, options);
  opened.push(client);
  return client;
}

const [a, b, wild, late] = await Promise.all([
  serverCertificate("a.test"),
  serverCertificate("b.test"),
  serverCertificate("*.a.test"),
  serverCertificate("a.test"),
]);

describe("TLS listener", () => {
  it.each(["TLSv1.2", "TLSv1.3"] as const)("serves requests over %s, and says so to the target", async (version) => {
    const backend = await target();
    const rig = await openRig({ ports: [backend.port] });
    const client = await open(rig, { minVersion: version, maxVersion: version });
    expect(client.socket.getProtocol()).toBe(version);
    for (let i = 0; i < 3; i++) {
      const { head, body } = await client.send(post("/x", `body ${i}`)).answer();
      expect(body).toBe(`body ${i}`);
      expect(head).toMatch(/^Via: 1\.1 penstock\r$/m);
    }
    const { head } = backend.requests[0]!;
    expect(head).toMatch(/^X-Forwarded-Proto: https\r$/m);
    expect(head).toMatch(new RegExp(`^X-Forwarded-Port: ${rig.server.tlsPort}\r$`, "m"));
    client.close();
    await until(() => rig.counter("connections_active") === 0);
    expect(rig.defects).toEqual([]);
  });

  it("shows the certificate of the name, and the node's own for others and for none", async () => {
    const [named, wildcard] = [certificateConfig("1", a), certificateConfig("2", wild)];
    const rig = await openRig({ ports: [], tls: tlsConfig({ "a.test": named, "*.a.test": wildcard }) });
    const shown = async (servername: string) =>
      (await open(rig, { servername, checkServerIdentity: () => undefined })).shown;
    expect(await shown("a.test")).toBe("a.test");
    expect(await shown("A.Test")).toBe("a.test");
    expect(await shown("x.a.test")).toBe("*.a.test");
    expect(await shown("y.x.a.test")).toBe("localhost");
    expect(await shown("")).toBe("localhost");
  });

  it("serves a new certificate from the next handshake on, resumed or not, and drops no connection", async () => {
    const backend = await target();
    const options = { ports: [backend.port], tls: tlsConfig({ "a.test": certificateConfig("1", a) }) };
    const rig = await openRig(options);
    const before = await open(rig, { servername: "a.test" });
    const session = await before.session();
    expect((await before.send(get("/")).answer()).body).toBe("ok");
    rig.apply({ ...options, tls: tlsConfig({ "a.test": certificateConfig("1", late) }) });
    const after = await open(rig, { servername: "a.test", session });
    expect(after.socket.isSessionReused()).toBe(false);
    expect(after.socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase()).toBe(late.digest);
    expect((await before.send(get("/")).answer()).body).toBe("ok");
    expect((await after.send(get("/")).answer()).body).toBe("ok");
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("resumes sessions of the same key only, over %s", async (version) => {
    const tls = (key: number) => tlsConfig({ "a.test": certificateConfig("1", a) }, Buffer.alloc(48, key));
    const [one, other] = [await openRig({ ports: [], tls: tls(1) }), await openRig({ ports: [], tls: tls(1) })];
    const options = { servername: "a.test", minVersion: version, maxVersion: version };
    const session = await (await open(one, options)).session();
    const resumed = async (rig: Rig) => (await open(rig, { ...options, session })).socket.isSessionReused();
    expect(await resumed(one)).toBe(true);
    expect(await resumed(other)).toBe(true);
    one.apply({ ports: [], tls: tls(2) });
    expect(await resumed(one)).toBe(false);
    expect(await resumed(other)).toBe(true);
    const { handshakes } = one.server.engine.traffic.read();
    expect(handshakes.labels).toEqual(["other", "full", "resumed"]);
  });

  it("does not resume a session of one certificate under another", async () => {
    const named = { "a.test": certificateConfig("1", a), "b.test": certificateConfig("2", b) };
    const rig = await openRig({ ports: [], tls: tlsConfig(named) });
    const session = await (await open(rig, { servername: "a.test" })).session();
    const client = await open(rig, { servername: "b.test", session, checkServerIdentity: () => undefined });
    expect([client.socket.isSessionReused(), client.shown]).toEqual([false, "b.test"]);
  });

  it("refuses a host that another certificate is served for, with 421, and takes its own on the same connection", async () => {
    const backend = await target();
    const named = { "a.test": certificateConfig("1", a), "b.test": certificateConfig("2", b) };
    const given = { ports: [backend.port], tls: tlsConfig(named) };
    const rig = await openRig(given);
    const client = await open(rig, { servername: "a.test" });
    const ask = async (from: TlsClient, host: string) =>
      (await from.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).answer()).head.split(" ")[1];
    expect(await ask(client, "a.test")).toBe("200");
    expect(await ask(client, "b.test:443")).toBe("421");
    expect(await ask(client, "B.Test.")).toBe("421");
    expect(await ask(client, "A.test")).toBe("200");
    expect(await ask(client, "other.test")).toBe("200");
    const unnamed = await open(rig, { servername: "", checkServerIdentity: () => undefined });
    expect(await ask(unnamed, "a.test")).toBe("421");
    expect(await ask(unnamed, "other.test")).toBe("200");
    const lenient = await openRig(given, { checksServerNames: false });
    expect(await ask(await open(lenient, { servername: "a.test" }), "b.test")).toBe("200");
    // Names of one certificate are one another's.
    const shared = certificateConfig("1", a);
    rig.apply({ ...given, tls: tlsConfig({ "a.test": shared, "b.test": shared }) });
    expect(await ask(client, "b.test")).toBe("200");
  });

  it("takes a request's route by the name too, and by what the route may be spoken over", async () => {
    const backend = await target();
    const named = certificateConfig("1", a);
    const rig = await openRig({
      ports: [backend.port],
      tls: tlsConfig({ "a.test": named, "*.a.test": named }),
      routes: [
        { paths: ["/"], snis: ["a.test"], bodyMaxBytes: 0 },
        { paths: ["/"], snis: ["*.a.test"], httpsRedirectStatus: 308, protocols: ["https"] },
        { paths: ["/plain"], protocols: ["http"] },
      ],
    });
    const status = async (servername: string, path = "/") => {
      const client = await open(rig, { servername, checkServerIdentity: () => undefined });
      return (await client.send(post(path, "x").replace("a.test", servername)).answer()).head.split(" ")[1];
    };
    expect(await status("a.test")).toBe("413");
    expect(await status("x.a.test")).toBe("200");
    expect(await status("localhost")).toBe("404");
    expect(await status("localhost", "/plain")).toBe("404");
    expect((await rig.ask(get("/plain"))).head).toMatch(/^HTTP\/1\.1 (413|200) /);
  });

  it("sends those who come in plain to it, where a route is for TLS alone", async () => {
    const route = { snis: ["a.test"], protocols: ["https" as const] };
    const rig = await openRig({ ports: [], routes: [{ ...route, httpsRedirectStatus: 308 }] });
    expect((await rig.ask(get("/x?y"))).head).toMatch(/^HTTP\/1\.1 308 .*\r\nLocation: https:\/\/a\.test\/x\?y\r\n/s);
    rig.apply({ ports: [], routes: [route] });
    expect((await rig.ask(get("/"))).head).toMatch(/^HTTP\/1\.1 426 .*\r\nUpgrade: TLS\/1\.2, HTTP\/1\.1\r\n/s);
  });

  it("speaks HTTP/1.1, and refuses clients that only speak something else", async () => {
    const rig = await openRig({ ports: [] });
    expect((await open(rig, { ALPNProtocols: ["h2", "http/1.1"] })).socket.alpnProtocol).toBe("http/1.1");
    expect((await open(rig)).socket.alpnProtocol).toBe(false);
    expect(await handshakeError(rig, { ALPNProtocols: ["h2"] })).toMatch(/NO_APPLICATION_PROTOCOL/);
    expect(failuresOf(rig)).toEqual({ alpn: 1 });
  });

  it("speaks no old version, nor weak ciphers", async () => {
    const rig = await openRig({ ports: [] });
    const weak = { ciphers: "DEFAULT@SECLEVEL=0" };
    expect(await handshakeError(rig, { ...weak, minVersion: "TLSv1", maxVersion: "TLSv1.1" })).toMatch(/VERSION/);
    expect(await handshakeError(rig, { ciphers: "AES128-SHA", maxVersion: "TLSv1.2" })).toMatch(/HANDSHAKE_FAILURE/);
    expect(failuresOf(rig)).toEqual({ no_shared_parameters: 2 });
    const strict = await openRig({ ports: [] }, { minVersion: "TLSv1.3" });
    expect(await handshakeError(strict, { maxVersion: "TLSv1.2" })).toMatch(/VERSION/);
  });

  it("answers plain HTTP in plain text, and TLS on the plain port as before", async () => {
    const rig = await openRig({ ports: [] });
    for (const text of [get("/"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "g"]) {
      const client = new RawClient(rig.server.tlsPort!);
      opened.push(client);
      const rest = await client.send(text).rest();
      expect(rest).toMatch(
        /^HTTP\/1\.1 400 .*Connection: close.*details="plain_on_tls_port".*\r\n\r\nplain HTTP on a TLS port\n/s,
      );
    }
    expect(await handshakeError(rig, { port: rig.server.port })).toMatch(/WRONG_VERSION_NUMBER|PACKET_LENGTH/);
    await until(() => rig.counter("connections_active") === 0);
    expect(failuresOf(rig)).toEqual({ not_tls: 3 });
  });

  it("shows the chain, and picks of two keys the one that the client can verify", async () => {
    const between = await makeAuthority({ commonName: "Between", issuer: authority });
    const made = ["ec", "rsa"].map((key) => makeCertificate({ names: ["a.test"], issuer: between, key: key as "ec" }));
    const both = certificateConfig("1", await Promise.all(made));
    const rig = await openRig({ ports: [], tls: tlsConfig({ "a.test": both }) });
    const typeFor = async (ciphers: string) => {
      const client = await open(rig, { servername: "a.test", maxVersion: "TLSv1.2", ciphers });
      expect(client.socket.authorized).toBe(true);
      return client.socket.getPeerX509Certificate()!.publicKey.asymmetricKeyType;
    };
    expect(await typeFor("ECDHE-ECDSA-AES128-GCM-SHA256")).toBe("ec");
    expect(await typeFor("ECDHE-RSA-AES128-GCM-SHA256")).toBe("rsa");
  });

  it("keeps no more certificates ready than it may, and serves the others as well", async () => {
    const named = Object.fromEntries(
      await Promise.all(
        Array.from({ length: 5 }, async (_, i) => {
          return [`n${i}.test`, certificateConfig(String(i), await serverCertificate(`n${i}.test`))] as const;
        }),
      ),
    );
    const rig = await openRig({ ports: [], tls: tlsConfig(named) }, { certificatesReadyMax: 2 });
    for (const name of [...Object.keys(named), ...Object.keys(named)]) {
      expect((await open(rig, { servername: name })).shown).toBe(name);
    }
  });

  it("counts a connection from its opening to its end, and closes it when it drains", async () => {
    const rig = await openRig({ ports: [] });
    const client = await open(rig);
    const silent = connectPlain(rig.server.tlsPort!, "127.0.0.1");
    silent.on("error", () => {});
    await until(() => rig.counter("connections_active") === 2 && rig.counter("handshakes_active") === 1);
    await rig.server.close();
    expect(await client.closed()).toBe("end");
    expect(rig.counter("connections_active")).toBe(0);
    expect(rig.counter("handshakes_active")).toBe(0);
  });
});

function failuresOf(rig: Rig): Record<string, number> {
  const { labels, cells } = rig.server.engine.traffic.read().handshakeFailures;
  return Object.fromEntries(labels.map((label, i) => [label, cells[i]!] as const).filter(([, count]) => count > 0));
}
