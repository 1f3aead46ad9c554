import { createHash, randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import type { PassiveCheckConfig } from "../config/health-check-config.ts";
import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import {
  answerText,
  closedPort,
  get,
  openRawBackend,
  post,
  Rig,
  type RigOptions,
  rawBackend,
} from "./proxy-server.test-rig.ts";

const root = await makeCertificate({ commonName: "root", isAuthority: true });
const good = await makeCertificate({ names: ["target.test", "api.test"], issuer: root });
const wrong = await makeCertificate({ names: ["other.test"], issuer: root });
const client = await makeCertificate({ commonName: "client", issuer: root });
const stranger = await makeCertificate({ commonName: "stranger", isAuthority: true });

const noThresholds = { successes: 0, httpFailures: 0, tcpFailures: 0, timeouts: 0 };
const passive: PassiveCheckConfig = {
  readsStatuses: false,
  statusKinds: new Uint8Array(1_000),
  thresholds: noThresholds,
};

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface SecureTarget {
  readonly port: number;
  /** Connections whose handshake was done. */
  readonly secured: TLSSocket[];
  readonly heads: string[];
}

/** A TLS server in front of a plain backend's answer function. */
async function startTarget(
  { chainPem, keyPem }: TestCertificate,
  answer: (head: string, socket: TLSSocket) => void = (_, socket) => void socket.write(answerText("secure")),
  options: TlsOptions = {},
): Promise<SecureTarget> {
  const secured: TLSSocket[] = [];
  const heads: string[] = [];
  const server = createServer({ cert: chainPem, key: keyPem, ...options }, (socket) => {
    secured.push(socket);
    socket.on("error", () => {});
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      heads.push(text.slice(0, end));
      const head = text;
      text = "";
      answer(head, socket);
    });
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({
    async close() {
      for (const socket of secured) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return { port: (server.address() as AddressInfo).port, secured, heads };
}

function tls(more: Partial<UpstreamTlsConfig> = {}): UpstreamTlsConfig {
  return {
    key: JSON.stringify(more),
    isVerified: true,
    depthMax: null,
    caPems: [root.certPem],
    clientPairs: [],
    ...more,
  };
}

async function openRig(options: RigOptions): Promise<Rig> {
  const rig = await Rig.open(options);
  opened.push(rig);
  return rig;
}

/** An HTTP server, which finds that what comes over TLS is no request. */
const openPlain = () =>
  rawBackend((socket) => {
    socket.on("data", (bytes) => {
      if (bytes[0] === 0x16) socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      else socket.write(answerText("plain"));
    });
  });

const secure = (more: Partial<UpstreamTlsConfig> = {}) => ({ protocol: "https" as const, tls: tls(more) });

describe("targets over TLS", () => {
  it("get requests on connections that are verified once and kept", async () => {
    const target = await startTarget(good);
    const rig = await openRig({ ports: [target.port], service: secure() });
    const client = rig.client();
    for (let i = 0; i < 5; i++) expect((await client.send(get("/a")).answer()).body).toBe("secure");
    expect(target.secured).toHaveLength(1);
    expect(target.heads[0]).toContain(`Host: target.test:${target.port}`);
  });

  it("are asked under the upstream's host, which their certificate must be for", async () => {
    const target = await startTarget(good);
    const rig = await openRig({ ports: [target.port], service: secure(), hostHeader: "api.test" });
    expect((await rig.client().send(get("/a")).answer()).body).toBe("secure");
    expect(target.secured[0]?.servername).toBe("api.test");
    expect(target.heads[0]).toContain("Host: api.test\r\n");
  });

  it("get nothing of a request when their certificate is wrong: it goes to another, whatever its method", async () => {
    const [bad, fine] = [await startTarget(wrong), await startTarget(good)];
    const rig = await openRig({ ports: [bad.port, fine.port], service: secure() });
    const client = rig.client();
    for (let i = 0; i < 4; i++) expect((await client.send(post("/a", "once")).answer()).head).toMatch(/^HTTP\/1.1 200/);
    expect(bad.heads).toEqual([]);
    expect(fine.heads).toHaveLength(4);
    expect(rig.ejected).toHaveLength(1);
  });

  describe("that fail the handshake of one service among several", () => {
    const paths = [
      { paths: ["/own"], serviceIndex: 0 },
      { paths: ["/other"], serviceIndex: 1 },
    ];
    const asksForCertificate = { ca: root.certPem, requestCert: true, rejectUnauthorized: true };
    const cases: { what: string; own: Partial<UpstreamTlsConfig>; target: TlsOptions; error: string }[] = [
      { what: "which trusts others", own: { caPems: [stranger.certPem] }, target: {}, error: "tls_certificate_error" },
      { what: "which shows no certificate", own: {}, target: asksForCertificate, error: "tls_alert_received" },
    ];
    it.each(cases)("$what, stay in for the others", async ({ own, target, error }) => {
      // TLS 1.2: a server of 1.3 refuses a client's certificate when the client has sent its request already.
      const options = { ...target, maxVersion: "TLSv1.2" as const };
      const targets = [await startTarget(good, undefined, options), await startTarget(good, undefined, options)];
      const rig = await openRig({
        ports: targets.map(({ port }) => port),
        routes: paths,
        service: secure(own),
        moreServices: [secure({ clientPairs: [{ certPem: client.chainPem, keyPem: client.keyPem }] })],
        pool: { passive: { ...passive, thresholds: { ...passive.thresholds, tcpFailures: 1 } } },
      });
      for (let i = 0; i < 3; i++) {
        const { head } = await rig.ask(get("/own"));
        expect(head).toMatch(/^HTTP\/1.1 502 /);
        expect(head).toContain(`error=${error}`);
        for (let j = 0; j < 2; j++) expect((await rig.ask(get("/other"))).body).toBe("secure");
      }
      expect(targets.map(({ heads }) => heads.length)).toEqual([3, 3]);
      expect(rig.ejected).toEqual([]);
      expect(rig.counter("connect_failures")).toBe(6);
    });

    it("stay in where the others speak without TLS", async () => {
      const targets = [await openPlain(), await openPlain()];
      const rig = await openRig({
        ports: targets.map(({ port }) => port),
        routes: paths,
        service: secure(),
        moreServices: [{}],
      });
      expect((await rig.ask(get("/own"))).head).toContain("error=tls_protocol_error");
      for (let i = 0; i < 4; i++) expect((await rig.ask(get("/other"))).body).toBe("plain");
      expect(rig.ejected).toEqual([]);
    });

    it("stay out when that is no matter of TLS, and a trial that TLS ends says nothing of them", async () => {
      const [gone, fine] = [await closedPort(), await startTarget(good)];
      const rig = await openRig({
        ports: [gone, fine.port],
        routes: paths,
        service: secure({ caPems: [stranger.certPem] }),
        moreServices: [secure()],
      });
      for (let i = 0; i < 4; i++) expect((await rig.ask(get("/other"))).body).toBe("secure");
      expect(rig.ejected).toHaveLength(1);
      rig.table.eject(0, 1);
      expect((await rig.ask(get("/own"))).head).toMatch(/^HTTP\/1.1 50/);
      expect(rig.trials.filter((told) => told.startsWith("1 "))).toEqual(["1 unclear"]);
    });
  });

  it("stay in when a client asks for a name that their certificate is not for", async () => {
    const targets = [await startTarget(good), await startTarget(good)];
    const rig = await openRig({
      ports: targets.map(({ port }) => port),
      routes: [{ preserveHost: true }],
      service: secure(),
    });
    const forHost = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    expect((await rig.ask(forHost("bad.test"))).head).toContain("error=tls_certificate_error");
    for (let i = 0; i < 2; i++) expect((await rig.ask(forHost("api.test"))).body).toBe("secure");
    expect(targets.map(({ heads }) => heads.length)).toEqual([1, 1]);
    expect(rig.ejected).toEqual([]);
  });

  const failures: { what: string; open: () => Promise<number>; type: string; detail: string }[] = [
    {
      what: "a certificate for another name",
      open: async () => (await startTarget(wrong)).port,
      type: "tls_certificate_error",
      detail: "ERR_TLS_CERT_ALTNAME_INVALID",
    },
    {
      what: "no TLS",
      open: async () => {
        const backend = await openRawBackend((socket) => void socket.end("220 ready\r\n"));
        opened.push(backend);
        return backend.port;
      },
      type: "tls_protocol_error",
      detail: "ERR_SSL_WRONG_VERSION_NUMBER",
    },
    { what: "nobody there", open: closedPort, type: "connection_refused", detail: "ECONNREFUSED" },
  ];
  it.each(failures)("with $what are told of in Proxy-Status", async ({ open, type, detail }) => {
    const rig = await openRig({ ports: [await open()], service: { ...secure(), retries: 0 } });
    const { head } = await rig.ask(get("/a"));
    expect(head).toMatch(/^HTTP\/1.1 502 /);
    expect(head).toContain(`error=${type}`);
    expect(head).toContain(detail);
  });

  it("get and send large bodies whole, with back-pressure both ways", async () => {
    const body = randomBytes(6_000_000);
    const want = createHash("sha256").update(body).digest("hex");
    const target = await startTarget(good, (_, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    });
    const rig = await openRig({ ports: [target.port], service: secure() });
    const client = rig.client();
    const answer = await client.send(get("/large")).answer();
    expect(createHash("sha256").update(Buffer.from(answer.body, "latin1")).digest("hex")).toBe(want);
    expect(rig.defects).toEqual([]);
  });

  it("that end without a word in the midst of an answer leave it visibly cut", async () => {
    const target = await startTarget(good, (_, socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", () => socket.destroy());
    });
    const rig = await openRig({ ports: [target.port], service: secure() });
    const client = rig.client();
    client.send(get("/a"));
    expect(await client.closed).toBe("reset");
  });
});
