import { once } from "node:events";
import { type AddressInfo, connect as connectPlain, createServer, type Server, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import { SyncTls, type SyncTlsOptions } from "./sync-tls.ts";

let server: Server;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

/** TLS in front of a server that sends "hi" to whoever gets through. */
async function serve(authority: TestCertificate, options: Partial<SyncTlsOptions> = {}) {
  const own = await makeCertificate({ issuer: authority, names: ["cp"] });
  const credentials = { cert: own.chainPem, key: own.keyPem, authorities: authority.certPem };
  const tls = new SyncTls({ credentials, log: pino({ level: "silent" }), ...options });
  const served = tls.serve((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write("hi");
  });
  server = createServer((socket) => served.accept(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const open = (pair?: TestCertificate, more: object = {}): TLSSocket => {
    const shown = pair === undefined ? {} : { cert: pair.chainPem, key: pair.keyPem };
    const socket = connect({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...shown,
      ...more,
    });
    socket.on("error", () => {});
    sockets.push(socket);
    return socket;
  };
  const openPlain = () => {
    const socket = connectPlain(port, "127.0.0.1");
    socket.on("error", () => {});
    sockets.push(socket);
    return socket;
  };
  return { tls, credentials, open, openPlain };
}

const peerOf = (socket: Socket) => `127.0.0.1:${socket.localPort}`;

describe("SyncTls", () => {
  it("knows why it vouches for nobody, as long as the connection is there", async () => {
    const authority = await makeAuthority();
    const { tls, open, openPlain } = await serve(authority);
    const wrong = await makeCertificate({ issuer: await makeAuthority("Other CA") });
    const late = await makeCertificate({ issuer: authority, notAfter: new Date(Date.now() - 1_000) });
    const early = await makeCertificate({ issuer: authority, notBefore: new Date(Date.now() + 3_600_000) });
    const forServers = await makeCertificate({ issuer: authority, usages: ["serverAuth"] });
    const cases: [TestCertificate | undefined, RegExp][] = [
      [undefined, /has shown no certificate/],
      [wrong, /authority that is not trusted/],
      [late, /has expired/],
      [early, /not valid yet/],
      [forServers, /not for clients/],
    ];
    for (const [pair, cause] of cases) {
      const socket = open(pair);
      await once(socket, "data");
      expect(tls.causeOf(peerOf(socket))).toMatch(cause);
    }
    const plain = openPlain();
    plain.write("PRI * HTTP/2.0");
    await once(plain, "data");
    expect([tls.isPlain(peerOf(plain)), tls.causeOf(peerOf(plain))]).toEqual([
      true,
      expect.stringContaining("TLS only"),
    ]);
  });

  it("speaks TLS 1.3 alone, and resumes no session", async () => {
    const { open } = await serve(await makeAuthority());
    const old = open(undefined, { maxVersion: "TLSv1.2" });
    const [error] = await once(old, "error");
    expect((error as Error).message).toMatch(/protocol version/i);
    const socket = open();
    let ticketCount = 0;
    socket.on("session", () => ticketCount++);
    await once(socket, "data");
    expect([socket.getProtocol(), ticketCount]).toEqual(["TLSv1.3", 0]);
  });

  it("leaves strangers no more room than it says, and nodes theirs", async () => {
    const authority = await makeAuthority();
    const { open } = await serve(authority, { unverifiedMaxCount: 2 });
    for (let i = 0; i < 2; i++) await once(open(), "data");
    const third = open();
    await once(third, "close");
    expect(third.bytesRead > 0 && third.authorized).toBe(false);
    await once(open(await makeCertificate({ issuer: authority })), "data");
  });

  it("closes who says nothing", async () => {
    const { openPlain } = await serve(await makeAuthority(), { handshakeTimeoutMs: 1 });
    await once(openPlain(), "close");
  });

  it("shows new certificates, and trusts new authorities, from the next handshake on", async () => {
    const { tls, credentials, open } = await serve(await makeAuthority());
    const other = await makeAuthority("Other CA");
    const pair = await makeCertificate({ issuer: other });
    const before = open(pair);
    await once(before, "data");
    expect(tls.causeOf(peerOf(before))).toContain("not trusted");
    tls.update({ ...credentials, authorities: other.certPem });
    const count = sockets.length;
    const after = open(pair);
    await once(after, "data");
    const accepted = sockets.slice(count).find((socket) => socket !== after) as TLSSocket;
    expect(accepted.authorized).toBe(true);
  });
});
