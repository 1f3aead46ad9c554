import { createHash, randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import { answerText, closedPort, get, openRawBackend, post, Rig, type RigOptions } from "./proxy-server.test-rig.ts";

const root = await makeCertificate({ commonName: "root", isAuthority: true });
const good = await makeCertificate({ names: ["target.test", "api.test"], issuer: root });
const wrong = await makeCertificate({ names: ["other.test"], issuer: root });

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
