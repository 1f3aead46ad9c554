import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { adminOk } from "../support/admin-client.ts";
import {
  type CertificateInit,
  inDays,
  makeAuthority,
  makeCertificate,
  onlyNamesBelow,
  type TestCertificate,
  unknownCritical,
} from "../support/certificates.ts";
import { startEchoTarget } from "../support/echo-target.ts";
import { type ProofPlanes, startProofPlanes } from "../support/proof-planes.ts";

/** What targets are verified by, and what clients are; below `between` is one too many. */
const root = await makeAuthority("root");
const [stranger, forger, expiredBetween, clientsOnly, constrained, between, shallow] = await Promise.all([
  makeAuthority("stranger"),
  // Another key under the name that is trusted.
  makeAuthority("root"),
  makeAuthority({ commonName: "expired", issuer: root, notBefore: inDays(-9), notAfter: inDays(-1) }),
  makeAuthority({ commonName: "code signing", issuer: root, usages: ["codeSigning"] }),
  makeAuthority({ commonName: "constrained", issuer: root, extensions: [onlyNamesBelow("elsewhere.test")] }),
  makeAuthority({ commonName: "between", issuer: root }),
  makeAuthority({ commonName: "shallow", issuer: root, pathLength: 0 }),
]);
const [below, belowShallow, leaf, signer, weakAuthority] = await Promise.all([
  makeAuthority({ commonName: "below", issuer: between }),
  makeAuthority({ commonName: "below shallow", issuer: shallow }),
  makeCertificate({ commonName: "leaf", issuer: root }),
  makeCertificate({ commonName: "signer", issuer: root, isSigner: true }),
  makeAuthority({ commonName: "weak", issuer: root, key: "rsa-1024" }),
]);
const host = "target.test";
const good = await makeCertificate({ names: [host], issuer: root });

interface BadCertificate {
  readonly what: string;
  /** Both sides of TLS, for the target's name, by `root`, unless it says otherwise. */
  readonly init: CertificateInit;
  /** Its issuer is not sent with it. */
  readonly isAlone?: boolean;
  /** The reason in Proxy-Status. */
  readonly reason: string;
  /** The same of a client, for which OpenSSL has another word. */
  readonly reasonOfClient?: string;
}

const unknownIssuer = {
  reason: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  reasonOfClient: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
};
/** What is wrong on either side in the same way. */
const bad: readonly BadCertificate[] = [
  { what: "expired", init: { notBefore: inDays(-9), notAfter: inDays(-1) }, reason: "CERT_HAS_EXPIRED" },
  { what: "not valid yet", init: { notBefore: inDays(1) }, reason: "CERT_NOT_YET_VALID" },
  { what: "of another authority", init: { issuer: stranger }, ...unknownIssuer },
  { what: "forged in the authority's name", init: { issuer: forger }, reason: "CERT_SIGNATURE_FAILURE" },
  {
    what: "without its intermediate",
    init: { issuer: between },
    isAlone: true,
    ...unknownIssuer,
  },
  { what: "by an intermediate that has expired", init: { issuer: expiredBetween }, reason: "CERT_HAS_EXPIRED" },
  {
    what: "by a leaf",
    init: { issuer: leaf },
    reason: "key usage does not include certificate signing",
  },
  { what: "by a signer without the CA bit", init: { issuer: signer }, reason: "INVALID_PURPOSE" },
  { what: "by an authority for another purpose", init: { issuer: clientsOnly }, reason: "INVALID_PURPOSE" },
  {
    what: "below an authority that may have none below",
    init: { issuer: belowShallow },
    reason: "PATH_LENGTH_EXCEEDED",
  },
  { what: "outside of its authority's names", init: { issuer: constrained }, reason: "permitted subtree violation" },
  { what: "by an authority with a weak key", init: { issuer: weakAuthority }, reason: "CA certificate key too weak" },
  { what: "with a weak key", init: { key: "rsa-1024" }, reason: "EE certificate key too weak" },
  { what: "with a weak signature", init: { hash: "SHA-1" }, reason: "CA signature digest algorithm too weak" },
  { what: "for another purpose", init: { usages: ["codeSigning"] }, reason: "INVALID_PURPOSE" },
  {
    what: "with something critical that nobody knows",
    init: { extensions: [unknownCritical()] },
    reason: "unhandled critical extension",
  },
  { what: "with too many above it", init: { issuer: below }, reason: "CERT_CHAIN_TOO_LONG" },
];
const selfSigned = { reason: "DEPTH_ZERO_SELF_SIGNED_CERT" };
const badForTargets: readonly BadCertificate[] = [
  ...bad,
  { what: "signed by itself", init: {}, ...selfSigned },
  { what: "for another name", init: { names: ["other.test"] }, reason: "ERR_TLS_CERT_ALTNAME_INVALID" },
  {
    what: "for a label too few",
    init: { names: ["*.target.test", "*.test.test"] },
    reason: "ERR_TLS_CERT_ALTNAME_INVALID",
  },
  { what: "for an address alone", init: { names: ["127.0.0.1"] }, reason: "ERR_TLS_CERT_ALTNAME_INVALID" },
  { what: "for clients alone", init: { usages: ["clientAuth"] }, reason: "INVALID_PURPOSE" },
];
const badForClients: readonly BadCertificate[] = [
  ...bad,
  { what: "signed by itself", init: {}, ...selfSigned },
  { what: "for servers alone", init: { usages: ["serverAuth"] }, reason: "INVALID_PURPOSE" },
];

function make({ what, init, isAlone }: BadCertificate): Promise<TestCertificate> {
  const issuer = what === "signed by itself" ? {} : { issuer: root };
  return makeCertificate({ names: [host], ...issuer, ...init }).then((made) =>
    isAlone ? { ...made, chainPem: made.certPem } : made,
  );
}

/** Weak keys and signatures are loaded by who wants to show them. */
const lax = { ciphers: "DEFAULT:@SECLEVEL=0" };

let planes: ProofPlanes;
/** Of `root` and of `stranger`. */
let authorityId: string;
let strangerId: string;
const ending: (() => unknown)[] = [];
const applied = "?wait=applied&timeout=30s";

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "penstock-test-"));
  ending.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "hosts"), `127.0.0.1 ${host}\n`);
  const target = await startEchoTarget("t1", 0);
  planes = await startProofPlanes([target.port], {
    PENSTOCK_WORKERS: "2",
    PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0",
    PENSTOCK_HOSTS_FILE: join(folder, "hosts"),
  });
  ending.push(
    () => target.close(),
    () => planes.stop(),
  );
  const trust = async ({ certPem }: TestCertificate) =>
    (await adminOk(planes.adminUrl, "POST", "/ca_certificates", { cert: certPem })).body.id as string;
  authorityId = await trust(root);
  strangerId = await trust(stranger);
});
afterAll(async () => {
  for (const end of ending.reverse()) await end();
});

/** No worker was lost, and whoever does it right is served. */
async function expectAlive(ask: () => Promise<{ status: number }>): Promise<void> {
  expect((await ask()).status).toBe(200);
  expect((await planes.counters())["workers_lost"]).toBe(0);
}

describe("S28: a target with a certificate", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** Has a service for a target that shows the certificate. @returns what asks it for something */
  async function service(name: string, shown: TestCertificate) {
    const requests: string[] = [];
    const server = createServer({ cert: shown.chainPem, key: shown.keyPem, ...lax }, (socket: TLSSocket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        requests.push(String(bytes));
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      });
    });
    server.on("tlsClientError", () => {});
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `https://${host}:${(server.address() as AddressInfo).port}`;
    const body = { url, retries: 0, ca_certificates: [authorityId], tls_verify_depth: 1 };
    await adminOk(planes.adminUrl, "PUT", `/services/${name}?wait=none`, body);
    await adminOk(planes.adminUrl, "PUT", `/services/${name}/routes/${name}${applied}`, { paths: [`/${name}`] });
    const ask = () => fetch(`http://127.0.0.1:${planes.proxyPort}/${name}`);
    return { ask, requests };
  }

  it.each(badForTargets)("$what gets nothing of a request: $reason", async (one) => {
    const { ask, requests } = await service("bad", await make(one));
    const answer = await ask();
    expect(answer.status).toBe(502);
    expect(answer.headers.get("proxy-status")).toBe(`penstock; error=tls_certificate_error; details="${one.reason}"`);
    expect(requests).toEqual([]);
    await expectAlive((await service("good", good)).ask);
  });

  it("of an authority that is trusted no longer gets nothing more", async () => {
    const { ask, requests } = await service("withdrawn", good);
    expect((await ask()).status).toBe(200);
    await adminOk(planes.adminUrl, "PATCH", `/services/withdrawn${applied}`, { ca_certificates: [strangerId] });
    const answer = await ask();
    expect([answer.status, requests.length]).toEqual([502, 1]);
    expect(answer.headers.get("proxy-status")).toContain("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });
});

describe("S28: a client with a certificate", () => {
  const name = "safe.test";
  let served: TestCertificate;

  beforeAll(async () => {
    served = await makeCertificate({ names: [name], issuer: root });
    await adminOk(planes.adminUrl, "PUT", `/certificates/${name}${applied}`, {
      cert: served.chainPem,
      key: served.keyPem,
      client_authentication: { mode: "required", ca_certificates: [authorityId], depth: 1 },
    });
  });

  /** A connection of its own. @returns status, body and Proxy-Status of the answer */
  async function ask(shown: TestCertificate | null) {
    const pair = shown === null ? {} : { cert: shown.chainPem, key: shown.keyPem };
    const place = { host: "127.0.0.1", port: planes.proxyTlsPort, servername: name, ca: root.certPem };
    const socket = connect({ ...place, ...pair, ...lax });
    socket.on("secureConnect", () => socket.write(`GET /p HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`));
    let text = "";
    for await (const bytes of socket) text += String(bytes);
    return {
      status: Number(text.split(" ")[1]),
      body: text.slice(text.indexOf("\r\n\r\n") + 4).split("\n")[0],
      proxyStatus: /^Proxy-Status: (.*)\r$/m.exec(text)?.[1],
    };
  }

  it.each(badForClients)("$what is refused: $reason", async (one) => {
    expect(await ask(await make(one))).toEqual({
      status: 400,
      body: "client certificate invalid",
      proxyStatus: `penstock; error=http_request_denied; details="${one.reasonOfClient ?? one.reason}"`,
    });
    await expectAlive(() => ask(good));
  });

  it("that it does not show is refused", async () => {
    expect(await ask(null)).toEqual({
      status: 400,
      body: "client certificate required",
      proxyStatus: "penstock; error=http_request_denied",
    });
    await expectAlive(() => ask(good));
  });

  it("of an authority that was withdrawn is refused from then on", async () => {
    expect((await ask(good)).status).toBe(200);
    const patch = (id: string) =>
      adminOk(planes.adminUrl, "PATCH", `/certificates/${name}${applied}`, {
        client_authentication: { ca_certificates: [id] },
      });
    await patch(strangerId);
    expect(await ask(good)).toMatchObject({ status: 400, body: "client certificate invalid" });
    await patch(authorityId);
    await expectAlive(() => ask(good));
  });
});
