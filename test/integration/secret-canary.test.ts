import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ControlPlaneOptions } from "../../control-plane/options.ts";
import { type ControlPlane, startControlPlane } from "../../control-plane/start-control-plane.ts";
import { openLog } from "../../control-plane/telemetry/log.ts";
import { inDays, makeCertificate, type TestCertificate } from "../support/certificates.ts";
import { temporaryFolder } from "../support/penstock-processes.ts";

// A private key that was written must be found nowhere but in the read of it. Each output is searched for a line from
// the middle of the key's PEM, as a text and as bytes.

const api = "penstock.admin.v1.CertificatesAPI";

let folder: string;
let plane: ControlPlane;
let pair: TestCertificate;
let alt: TestCertificate;
let canaries: readonly string[];
/** Every line that was logged. */
let lines: string[];

beforeEach(async () => {
  folder = temporaryFolder();
  lines = [];
  [pair, alt] = await Promise.all([
    makeCertificate({ key: "rsa", notAfter: inDays(20) }),
    makeCertificate({ key: "ec" }),
  ]);
  canaries = [pair, alt].map(({ keyPem }) => keyPem.split("\n")[2]!);
  for (const canary of canaries) expect(canary.length).toBeGreaterThan(40);
  plane = await start();
});
afterEach(() => plane.close());

function start(more: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  const options: ControlPlaneOptions = {
    adminListen: { host: "127.0.0.1", port: 0 },
    syncListen: { host: "127.0.0.1", port: 0 },
    storePath: join(folder, "store.db"),
    adminHosts: [],
    logLevel: "trace",
    secretKeyPath: join(folder, "secret.key"),
    areSecretsInLists: false,
    ticketKeyRotationMs: 3_600_000,
    syncIdentity: { type: "off" },
    nodeStaleAfterMs: 30_000,
    nodeForgetAfterMs: 60_000,
    ...more,
  };
  return startControlPlane(options, openLog("trace", { write: (line: string) => void lines.push(line) }));
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

async function send(method: string, path: string, body?: object | string, headers: object = {}): Promise<Reply> {
  const reply = await fetch(`http://${plane.adminAddresses[0]}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = [...reply.headers].map((header) => header.join(": ")).join("\n") + (await reply.text());
  return { status: reply.status, text };
}

const call = (method: string, request: object) => send("POST", `/${api}/${method}`, request);

/** What a watcher from that revision is told within `count` messages. */
async function watched(fromRevision: number, count: number): Promise<string> {
  const request = Buffer.from(JSON.stringify({ fromRevision }));
  const length = Buffer.alloc(5);
  length.writeUInt32BE(request.byteLength, 1);
  const reply = await fetch(`http://${plane.adminAddresses[0]}/${api}/WatchCertificates`, {
    method: "POST",
    headers: { "content-type": "application/connect+json" },
    body: Buffer.concat([length, request]),
  });
  const reader = reply.body!.getReader();
  let text = "";
  while (text.split('"revision"').length <= count) text += Buffer.from((await reader.read()).value!).toString();
  await reader.cancel();
  return text;
}

const hits = (text: string | Buffer): number => canaries.filter((canary) => text.includes(canary)).length;

/** Every file of the control plane, by name. */
function files(): Map<string, Buffer> {
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

/** Creates, changes, and deletes a certificate; returns the answers. The key of `id` is that of `pair` before it goes. */
async function writeEverything(): Promise<{ id: string; answers: Reply[] }> {
  const body = { cert: pair.certPem, key: pair.keyPem, cert_alt: alt.certPem, key_alt: alt.keyPem };
  const created = await send("POST", "/certificates", { ...body, snis: ["a.test"] });
  const { id } = JSON.parse(created.text.slice(created.text.indexOf("{")));
  const gone = await send("PUT", "/certificates/gone.test", body);
  const answers = [
    created,
    gone,
    await send("PUT", `/certificates/${id}`, { ...body, tags: ["t"] }),
    await send("PATCH", `/certificates/${id}`, { key: pair.keyPem }),
    await send("DELETE", "/certificates/gone.test"),
    await call("CreateCertificate", { certificate: { cert: pair.certPem, key: pair.keyPem } }),
    await call("UpdateCertificate", { certificate: { id, key: pair.keyPem, cert: pair.certPem } }),
  ];
  return { id, answers };
}

describe("a private key", () => {
  it("is in the read of one certificate by a caller on this machine, over both faces, and in no other answer", async () => {
    const { id, answers } = await writeEverything();
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 204, 200, 200]);
    expect(hits((await send("GET", `/certificates/${id}`)).text)).toBe(2);
    expect(hits((await send("GET", "/certificates/a.test")).text)).toBe(2);
    expect(hits((await call("GetCertificate", { idOrServerName: "a.test" })).text)).toBe(2);
    for (const path of ["/certificates", "/certificates?size=1", "/certificates/a.test/snis", "/snis", "/"])
      answers.push(await send("GET", path));
    for (const path of ["/status", "/metrics", "/clustering/data-planes", "/clustering/status", "/config"])
      answers.push(await send("GET", path));
    answers.push(await call("ListCertificates", {}));
    answers.push(await send("POST", "/penstock.admin.v1.NodesAPI/ListNodes", {}));
    // Behind a proxy on this machine, a caller may be anyone.
    const passedOn = { "x-forwarded-for": "192.0.2.1" };
    answers.push(await send("GET", `/certificates/${id}`, undefined, passedOn));
    answers.push(await send("POST", `/${api}/GetCertificate`, { idOrServerName: id }, { forwarded: "for=192.0.2.1" }));
    expect(answers.slice(-2).map(({ status, text }) => [status, text.includes('"***"')])).toEqual([
      [200, true],
      [200, true],
    ]);
    expect(answers.filter(({ text }) => hits(text) > 0)).toEqual([]);
    const seen = [await watched(0, 2), await watched(1, 5)];
    expect(seen.map((text) => [text.includes('"***"'), hits(text)])).toEqual([
      [true, 0],
      [true, 0],
    ]);
  });

  it("is in no answer to a bad write, and in no line of the log", async () => {
    await writeEverything();
    const [cert, key] = [pair.certPem, pair.keyPem];
    const cut = key.slice(0, key.length / 2);
    const answers: Reply[] = [];
    for (const body of [
      { cert: alt.certPem, key },
      { cert, key: cut },
      { cert, key: key.replaceAll("\n", "") },
      { cert, key: key.toLowerCase() },
      { cert: key, key },
      { cert: cert + key, key },
      { cert, key, cert_alt: key, key_alt: key },
      { cert, key: [key] },
      { cert, key: { pem: key } },
      { cert, key, nope: 1 },
      { cert, key, id: "x" },
      { key },
      `{"cert": "", "key": ${JSON.stringify(key)}`,
    ]) {
      answers.push(await send("POST", "/certificates", body));
      const wrapped = typeof body === "string" ? body : { certificate: body };
      answers.push(await send("POST", `/${api}/CreateCertificate`, wrapped));
    }
    answers.push(await send("POST", "/ca_certificates", { cert: key }));
    answers.push(await send("POST", "/certificates", new URLSearchParams({ cert, key }).toString()));
    answers.push(await send("POST", "/services", { host: "h", client_certificate: { id: "x" }, key }));
    for (const { status } of answers) expect(status).toBeGreaterThanOrEqual(400);
    expect(answers.filter(({ text }) => hits(text) > 0)).toEqual([]);
    await plane.close();
    plane = await start();
    // Also those that tell of the certificate itself.
    expect(lines.filter((line) => line.includes("a certificate expires soon")).length).toBeGreaterThan(0);
    expect(lines.filter((line) => hits(line) > 0)).toEqual([]);
  });

  it("is in no file, be it the state, the history or what was deleted, and there again after a restart", async () => {
    const { id } = await writeEverything();
    const open = files();
    expect([...open.keys()]).toEqual(expect.arrayContaining(["secret.key", "store.db", "store.db-wal"]));
    await plane.close();
    const closed = files();
    for (const [name, bytes] of [...open, ...closed]) expect([name, hits(bytes)]).toEqual([name, 0]);
    // What is not secret is there: the search would have found a key.
    expect([...open.values()].some((bytes) => bytes.includes("a.test"))).toBe(true);
    plane = await start();
    expect(hits((await send("GET", `/certificates/${id}`)).text)).toBe(2);
    const history = await watched(1, 5);
    expect([history.includes(pair.certPem.split("\n")[2]!), hits(history)]).toEqual([true, 0]);
  });

  it("is in lists where the operator asked for that, for callers on this machine", async () => {
    await writeEverything();
    await plane.close();
    plane = await start({ areSecretsInLists: true });
    expect(hits((await send("GET", "/certificates")).text)).toBe(2);
    expect(hits((await call("ListCertificates", {})).text)).toBe(2);
    expect(hits((await send("GET", "/certificates", undefined, { via: "1.1 p" })).text)).toBe(0);
    expect(hits(await watched(0, 2))).toBe(0);
  });
});
