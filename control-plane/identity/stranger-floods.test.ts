import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import {
  floodUntilCutOff,
  framesMax,
  http2Floods,
  pingPayload,
  resetCalls,
  tlsTo,
} from "../../test/support/http2-floods.ts";
import { openSyncListener } from "../sync/sync-listener.ts";
import { SyncTls } from "./sync-tls.ts";

const path = "/penstock.sync.v1.SyncAPI/Connect";

/** A sync port with TLS, and one that calls it with a certificate. */
async function startPort() {
  const authority = await makeAuthority();
  const own = await makeCertificate({ issuer: authority, names: ["cp"] });
  const node = await makeCertificate({ issuer: authority, names: ["n1"] });
  const credentials = { cert: own.chainPem, key: own.keyPem, authorities: authority.certPem };
  const listener = await openSyncListener({
    listen: [{ host: "127.0.0.1", port: 0 }],
    connectionMaxCount: 100,
    messageMaxBytes: 1_000,
    keepaliveMs: 10_000,
    keepaliveTimeoutMs: 10_000,
    closeGraceMs: 0,
    onConnect: (call) => call.end(),
    tls: new SyncTls({ credentials, log: pino({ level: "silent" }) }),
  });
  onTestFinished(() => listener.close());
  const { port } = listener.addresses[0]!;
  const call = async () => {
    const client = connectHttp2(`https://127.0.0.1:${port}`, {
      ...{ ca: authority.certPem, cert: node.chainPem, key: node.keyPem },
      checkServerIdentity: () => undefined,
    });
    onTestFinished(() => client.destroy());
    const head = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = client.request(head);
    stream.resume();
    stream.end();
    const [answer] = await once(stream, "response");
    return Number(answer[":status"]);
  };
  return { port, call };
}

describe("S7: the sync port with TLS", () => {
  it.each(http2Floods(path))(
    "cuts off a stranger who floods it with $name, and goes on with its nodes",
    async (flood) => {
      const { port, call } = await startPort();
      expect(await call()).toBe(200);
      expect((await floodUntilCutOff(tlsTo(port), flood)).frameCount).toBeLessThan(framesMax);
      expect(await call()).toBe(200);
    },
  );

  it.each([
    ["nobody serves", "/a.B/C", "application/grpc"],
    ["is not gRPC's", path, "text/plain"],
  ])(
    "goes on where a stranger makes a call that %s, and resets it in the same piece",
    async (_what, called, contentType) => {
      const { port, call } = await startPort();
      const socket = tlsTo(port);
      onTestFinished(() => void socket.destroy());
      socket.write(resetCalls(called, contentType, 10));
      let answer = "";
      for await (const bytes of socket) {
        answer += String(bytes);
        if (answer.includes(pingPayload)) break;
      }
      expect(answer).toContain(pingPayload);
      expect(await call()).toBe(200);
    },
  );
});
