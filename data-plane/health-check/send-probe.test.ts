import { once } from "node:events";
import {
  createServer as createHttp2Server,
  createSecureServer as createSecureHttp2Server,
  type Http2Server,
} from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import type { ProbeConfig } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { probeSender } from "./send-probe.ts";

const authority = await makeAuthority("Probe CA");
const certificate = await makeCertificate({ names: ["target.test"], issuer: authority });
const client = await makeCertificate({ names: ["probe"], issuer: authority });
const pair = { cert: certificate.certPem, key: certificate.keyPem };

function probeConfig(given: Partial<ProbeConfig> = {}): ProbeConfig {
  return {
    key: JSON.stringify(given),
    type: "http",
    timeoutMs: 5_000,
    port: null,
    method: "GET",
    path: "/",
    headers: [],
    hostHeader: null,
    serverName: null,
    isVerified: true,
    clientPairs: [],
    bodyContains: null,
    grpcService: "",
    ...given,
  };
}

async function listening(server: Server | Http2Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Answers each connection's first request with these pieces, each in a write of its own. */
async function answering(pieces: readonly string[], given: { readonly isTls?: boolean; readonly ends?: boolean } = {}) {
  const requests: string[] = [];
  const serve = (socket: Socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes) => {
      requests.push(bytes.toString("latin1"));
      let at = 0;
      const next = () => {
        if (at < pieces.length) socket.write(pieces[at++]!, "latin1", () => setImmediate(next));
        else if (given.ends !== false) socket.end();
      };
      next();
    });
  };
  const server = given.isTls === true ? createTlsServer(pair, serve) : createServer(serve);
  server.on("tlsClientError", () => {});
  return { port: await listening(server), requests };
}

const send = probeSender([authority.certPem]);

function probe(port: number, given: Partial<ProbeConfig> = {}): Promise<ProbeOutcome> {
  return send({ address: "127.0.0.1", port, host: "target.test" }, probeConfig(given));
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";

describe("probeSender, http", () => {
  it("sends one request and reads the status", async () => {
    const { port, requests } = await answering([ok]);
    expect(await probe(port, { path: "/up?x=1" })).toEqual({ type: "status", status: 200, hasText: true });
    expect(requests).toEqual([
      "GET /up?x=1 HTTP/1.1\r\nHost: target.test\r\nUser-Agent: penstock-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    ]);
  });

  it("sends the method, the Host and the headers that it is told to, each once", async () => {
    const { port, requests } = await answering([ok]);
    const headers = [
      { name: "X-A", value: "1" },
      { name: "X-A", value: "2" },
      { name: "user-agent", value: "mine" },
    ];
    await probe(port, { method: "HEAD", hostHeader: "h.test:81", headers });
    expect(requests).toEqual([
      "HEAD / HTTP/1.1\r\nHost: h.test:81\r\nAccept: */*\r\nConnection: close\r\nX-A: 1\r\nX-A: 2\r\nuser-agent: mine\r\n\r\n",
    ]);
  });

  it.each<{ name: string; pieces: string[]; want: object; given?: Partial<ProbeConfig> }>([
    {
      name: "a status line in pieces",
      pieces: ["HT", "TP/1.1 5", "03", " \r\n"],
      want: { type: "status", status: 503 },
    },
    { name: "HTTP/1.0 without a reason", pieces: ["HTTP/1.0 204\r\n\r\n"], want: { type: "status", status: 204 } },
    {
      name: "a redirect, which is not followed",
      pieces: ["HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"],
      want: { status: 302 },
    },
    {
      name: "a status after interim ones",
      pieces: ["HTTP/1.1 103 E\r\nA: b\r\n", "\r\nHTTP/1.1 200 OK\r\n"],
      want: { status: 200 },
    },
    { name: "what is no HTTP", pieces: ["SSH-2.0-OpenSSH_9.6\r\n"], want: { type: "bad_answer" } },
    { name: "a status that is none", pieces: ["HTTP/1.1 20x OK\r\n\r\n"], want: { type: "bad_answer" } },
    { name: "nothing", pieces: [], want: { type: "failed" } },
    { name: "half a status line", pieces: ["HTTP/1.1 2"], want: { type: "failed" } },
  ])("reads $name", async ({ pieces, want }) => {
    const { port } = await answering(pieces);
    expect(await probe(port)).toMatchObject(want);
  });

  it.each([
    {
      name: "a body of a length",
      pieces: ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall ", "is up"],
      hasText: true,
    },
    { name: "a body without it", pieces: ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndown"], hasText: false },
    {
      name: "what comes after the body",
      pieces: ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnois up"],
      hasText: false,
    },
    {
      name: "a text cut by chunks",
      pieces: ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nis ", "\r\n2\r\nup\r\n0\r\n\r\n"],
      hasText: true,
    },
    { name: "a body until the end", pieces: ["HTTP/1.1 200 OK\r\n\r\nthis ", "is up"], hasText: true },
    { name: "a head without a body", pieces: ["HTTP/1.1 204 No Content\r\n\r\n"], hasText: false },
    { name: "its 65,537th byte", pieces: [`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(65_532)}is up`], hasText: false },
    { name: "its 65,536th byte", pieces: [`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(65_531)}is up`], hasText: true },
  ])("looks for text in $name", async ({ pieces, hasText }) => {
    const { port } = await answering(pieces);
    expect(await probe(port, { bodyContains: "is up" })).toMatchObject({ type: "status", hasText });
  });

  it("does not wait for the rest of a body once the text is there", async () => {
    const { port } = await answering(["HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nis up"], { ends: false });
    expect(await probe(port, { bodyContains: "is up" })).toMatchObject({ hasText: true });
  });

  it("is refused, and times out", async () => {
    const { port } = await answering(["HTTP/1.1 "], { ends: false });
    expect(await probe(port, { timeoutMs: 50 })).toEqual({ type: "timeout" });
    const closed = createServer();
    const closedPort = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await probe(closedPort)).toEqual({ type: "failed", problem: "ECONNREFUSED" });
  });
});

describe("probeSender, https", () => {
  it("verifies the certificate for the host, unless it is told not to", async () => {
    const { port } = await answering([ok], { isTls: true });
    expect(await probe(port, { type: "https" })).toMatchObject({ type: "status", status: 200 });
    expect(await probe(port, { type: "https", serverName: "other.test" })).toMatchObject({
      type: "failed",
      problem: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
    expect(await probe(port, { type: "https", serverName: "other.test", isVerified: false })).toMatchObject({
      status: 200,
    });
    const distrusting = probeSender(null);
    const place = { address: "127.0.0.1", port, host: "target.test" };
    expect(await distrusting(place, probeConfig({ type: "https" }))).toMatchObject({ type: "failed" });
  });

  it("shows a client certificate where one is asked for", async () => {
    const shown: unknown[] = [];
    const server = createTlsServer({ ...pair, requestCert: true, ca: authority.certPem }, (socket) => {
      shown.push(socket.authorized, socket.getPeerCertificate().subject?.CN);
      socket.end(ok);
    });
    const port = await listening(server);
    const clientPairs = [{ certPem: client.certPem, keyPem: client.keyPem }];
    expect(await probe(port, { type: "https", clientPairs })).toMatchObject({ status: 200 });
    expect(shown).toEqual([true, "probe"]);
  });

  it("says what is wrong with a certificate that cannot be loaded", async () => {
    const clientPairs = [{ certPem: "none", keyPem: "none" }];
    expect(await probe(1, { type: "https", clientPairs })).toMatchObject({ type: "failed" });
  });
});

describe("probeSender, tcp", () => {
  it("connects", async () => {
    const { port } = await answering([]);
    expect(await probe(port, { type: "tcp" })).toEqual({ type: "connected" });
  });
});

/** A server of grpc.health.v1 that answers with these bytes of a message, or with this status. */
async function grpcServer(
  message: readonly number[] | null,
  given: { grpcStatus?: string; status?: number; isTls?: boolean } = {},
) {
  const asked: string[] = [];
  const server = given.isTls === true ? createSecureHttp2Server(pair) : createHttp2Server();
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      asked.push(`${headers[":path"]} ${Buffer.concat(pieces).toString("latin1")}`);
      stream.respond({ ":status": given.status ?? 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": given.grpcStatus ?? "0" }));
      if (message === null) stream.end();
      else stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
    });
  });
  return { port: await listening(server as Http2Server), asked };
}

describe("probeSender, grpc", () => {
  it("asks for a service and hears that it serves", async () => {
    const { port, asked } = await grpcServer([8, 1]);
    expect(await probe(port, { type: "grpc", grpcService: "a.B" })).toEqual({ type: "serving" });
    expect(asked).toEqual(["/grpc.health.v1.Health/Check \u0000\u0000\u0000\u0000\u0005\n\u0003a.B"]);
  });

  it("asks over TLS", async () => {
    const { port } = await grpcServer([8, 1], { isTls: true });
    expect(await probe(port, { type: "grpcs" })).toEqual({ type: "serving" });
    expect(await probe(port, { type: "grpcs", serverName: "other.test" })).toMatchObject({ type: "failed" });
  });

  it.each([
    { name: "NOT_SERVING", message: [8, 2], given: {}, problem: "NOT_SERVING" },
    { name: "an unknown service", message: null, given: { grpcStatus: "5" }, problem: "gRPC status 5" },
    { name: "no gRPC", message: null, given: { status: 404 }, problem: "HTTP status 404" },
    { name: "a message that is none", message: [0xff], given: {}, problem: "what is no message" },
  ])("takes $name for a bad answer", async ({ message, given, problem }) => {
    const { port } = await grpcServer(message, given);
    expect(await probe(port, { type: "grpc" })).toEqual({ type: "bad_answer", problem });
  });

  it("fails where HTTP/2 is not spoken, and times out where nothing is", async () => {
    const { port } = await answering(["HTTP/1.1 400 Bad Request\r\n\r\n"]);
    expect(await probe(port, { type: "grpc" })).toMatchObject({ type: "failed" });
    const silent = await answering([], { ends: false });
    expect(await probe(silent.port, { type: "grpc", timeoutMs: 50 })).toEqual({ type: "timeout" });
  });
});
