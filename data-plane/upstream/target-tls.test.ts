import { createServer as createPlainServer } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { inDays, makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { DeadlineWheel } from "./deadline-wheel.ts";
import type { UpstreamConnection } from "./http1-client.ts";
import { UpstreamPool } from "./upstream-pool.ts";

const name = "target.test";
/** Every certificate that the tests need, by what is particular to it. */
let made: Record<"root" | "low" | "good" | "client" | "strangerClient", TestCertificate>;

beforeAll(async () => {
  const root = await makeCertificate({ commonName: "root", isAuthority: true });
  const otherRoot = await makeCertificate({ commonName: "other root", isAuthority: true });
  const middle = await makeCertificate({ commonName: "middle", isAuthority: true, issuer: root });
  const low = await makeCertificate({ commonName: "low", isAuthority: true, issuer: middle });
  const good = await makeCertificate({ names: [name, "127.0.0.1"], issuer: root });
  const client = await makeCertificate({ commonName: "node", issuer: root, usages: ["clientAuth"] });
  const strangerClient = await makeCertificate({ commonName: "stranger", issuer: otherRoot, usages: ["clientAuth"] });
  made = { root, low, good, client, strangerClient };
});

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface Target {
  readonly endpoint: EndpointConfig;
  /** Of each connection, in turn. */
  readonly seen: { readonly serverName: string | false | null; readonly isResumed: boolean }[];
}

/** A server that answers any bytes with 204. */
async function startTarget(options: TlsOptions): Promise<Target> {
  const seen: Target["seen"] = [];
  const server = createServer(options, (socket: TLSSocket) => {
    seen.push({ serverName: socket.servername, isResumed: socket.isSessionReused() });
    socket.on("error", () => {});
    socket.on("data", () => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
  });
  server.on("tlsClientError", () => {});
  return { endpoint: await listen(server), seen };
}

async function listen(server: Server): Promise<EndpointConfig> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("error", () => {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return testEndpoint({ port, hostHeader: `${name}:${port}` });
}

function serving({ chainPem, keyPem }: TestCertificate, more: TlsOptions = {}): TlsOptions {
  return { cert: chainPem, key: keyPem, ...more };
}

function settings(more: Partial<UpstreamTlsConfig> = {}): UpstreamTlsConfig {
  const trusted = { key: "k", isVerified: true, depthMax: null, caPems: [made.root.certPem], clientPairs: [] };
  return { ...trusted, ...more };
}

function openPool(options = {}): UpstreamPool {
  const wheel = new DeadlineWheel((error) => {
    throw error;
  });
  const pool = new UpstreamPool(wheel, new ReadBuffers(), options);
  cleanups.push(async () => pool.closeIdle());
  return pool;
}

/** One request on the connection. @returns "answered", or the loss with its detail */
function exchange(connection: UpstreamConnection): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const ignore = (): void => {};
  const send = () => {
    connection.socket.writeText("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.requestSent();
  };
  const receiver = {
    onUpstreamConnected: send,
    onInterimHead: ignore,
    onContinueTimeout: ignore,
    onUpgrade: ignore,
    onResponseHead: ignore,
    onResponseBytes: ignore,
    onResponseTrailers: ignore,
    onResponseFlush: ignore,
    onResponseEnd: () => resolve("answered"),
    onUpstreamDrain: ignore,
    onUpstreamLost: (loss: string, detail: string) => resolve(`${loss}: ${detail}`),
  };
  connection.begin(receiver, false, false);
  if (connection.isConnected) send();
  return promise;
}

function ask(pool: UpstreamPool, endpoint: EndpointConfig, config: UpstreamTlsConfig, as = name): Promise<string> {
  const connections = pool.secureConnectionsTo(endpoint, config, as);
  return exchange(connections.takeIdle() ?? connections.open());
}

describe("TargetTls", () => {
  it("speaks to a target whose certificate is right, under the name it asks for", async () => {
    const target = await startTarget(serving(made.good));
    expect(await ask(openPool(), target.endpoint, settings())).toBe("answered");
    expect(target.seen).toEqual([{ serverName: name, isResumed: false }]);
  });

  it("verifies an address without naming it to the target", async () => {
    const target = await startTarget(serving(made.good));
    expect(await ask(openPool(), target.endpoint, settings(), "127.0.0.1")).toBe("answered");
    expect(target.seen[0]?.serverName).toBe(false);
  });

  it("trusts the node's own authorities where the service names none", async () => {
    const target = await startTarget(serving(made.good));
    const own = openPool({ trustedCaPems: [made.root.certPem] });
    expect(await ask(own, target.endpoint, settings({ caPems: null }))).toBe("answered");
    expect(await ask(openPool(), target.endpoint, settings({ caPems: null }))).toMatch(/^tls_certificate: /);
  });

  it("takes no more intermediates than the service allows", async () => {
    const target = await startTarget(serving(await makeCertificate({ names: [name], issuer: made.low })));
    expect(await ask(openPool(), target.endpoint, settings({ depthMax: 1 }))).toBe(
      "tls_certificate: CERT_CHAIN_TOO_LONG",
    );
    expect(await ask(openPool(), target.endpoint, settings({ depthMax: 2 }))).toBe("answered");
  });

  it("takes any certificate where the service asks for no verification", async () => {
    const target = await startTarget(
      serving(await makeCertificate({ names: ["other.test"], notBefore: inDays(-9), notAfter: inDays(-1) })),
    );
    expect(await ask(openPool(), target.endpoint, settings({ isVerified: false }))).toBe("answered");
  });

  it("tells a target that speaks no TLS, or only an old one", async () => {
    const plain = await listen(createPlainServer());
    expect(await ask(openPool(), plain, settings())).toMatch(/^tls_protocol: ERR_SSL_/);
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as const;
    const target = await startTarget(serving(made.good, old));
    expect(await ask(openPool(), target.endpoint, settings())).toMatch(/^tls_(alert|protocol): ERR_SSL_/);
  });

  it("shows its certificate to a target that asks for one", async () => {
    const asking = {
      requestCert: true,
      rejectUnauthorized: true,
      ca: made.root.certPem,
      maxVersion: "TLSv1.2",
    } as const;
    const target = await startTarget(serving(made.good, asking));
    const pairOf = ({ certPem, keyPem }: TestCertificate) => [{ certPem, keyPem }];
    const shown = settings({ key: "shown", clientPairs: pairOf(made.client) });
    expect(await ask(openPool(), target.endpoint, shown)).toBe("answered");
    const strange = settings({ key: "strange", clientPairs: pairOf(made.strangerClient) });
    expect(await ask(openPool(), target.endpoint, strange)).toMatch(/^(tls_alert|refused|closed): /);
    expect(await ask(openPool(), target.endpoint, settings())).toMatch(/^(tls_alert|refused|closed): /);
  });

  it("resumes a session, and keeps sessions and connections apart by settings and by name", async () => {
    const both = await makeCertificate({ names: [name, "second.test"], issuer: made.root });
    const target = await startTarget(serving(both));
    const pool = openPool();
    const askAnew = (config: UpstreamTlsConfig, as = name) =>
      exchange(pool.secureConnectionsTo(target.endpoint, config, as).open());
    expect(await askAnew(settings())).toBe("answered");
    expect(await askAnew(settings())).toBe("answered");
    expect(await askAnew(settings(), "second.test")).toBe("answered");
    expect(await askAnew(settings({ key: "other", depthMax: 3 }))).toBe("answered");
    expect(target.seen.map(({ isResumed }) => isResumed)).toEqual([false, true, false, false]);
    const idle = (config: UpstreamTlsConfig, as: string) =>
      pool.secureConnectionsTo(target.endpoint, config, as).idleCount;
    expect(idle(settings(), name)).toBe(2);
    expect(idle(settings(), "second.test")).toBe(1);
    expect(pool.connectionsTo(target.endpoint).idleCount).toBe(0);
  });

  it("leaves the connections of settings that are gone", async () => {
    const target = await startTarget(serving(made.good));
    const pool = openPool();
    expect(await ask(pool, target.endpoint, settings())).toBe("answered");
    const sets = [testSet([target.endpoint])];
    pool.retainOnly(sets, new Set(["k"]));
    expect(pool.secureConnectionsTo(target.endpoint, settings(), name).idleCount).toBe(1);
    pool.retainOnly(sets, new Set(["another"]));
    expect(pool.secureConnectionsTo(target.endpoint, settings(), name).idleCount).toBe(0);
  });
});
