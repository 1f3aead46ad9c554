import "reflect-metadata";
import { createPublicKey, type KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServiceError, type sendUnaryData, status } from "@grpc/grpc-js";
import * as x509 from "@peculiar/x509";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grpcDefinition } from "../../control-plane/sync/grpc-definition.ts";
import { EnrolAPI } from "../../proto/gen/penstock/sync/v1/enrol_pb.ts";
import { type CertificateInit, inDays, makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { hourMs, PresentClock } from "../../test/support/identity-rig.ts";
import type { Log } from "../telemetry/log.ts";
import { IdentityFolder } from "./identity-folder.ts";
import { JoinedIdentity } from "./joined-identity.ts";

// A control plane that the node's token names, and that gives it anything.

const nodeId = "aaaaaaaa-0000-4000-8000-000000000001";
const spiffe = (path: string) =>
  new x509.SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://p/${path}` }]);

/** A PEM, or the code that it is refused with. */
type Given = string | status;

let path: string;
let folder: IdentityFolder;
let events: EventEmitter;
let clock: PresentClock;
const cleanups: (() => void)[] = [];
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "penstock-node-")), "identity");
  folder = new IdentityFolder(path);
  folder.makeKey();
  events = new EventEmitter();
  clock = new PresentClock();
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  rmSync(join(path, ".."), { recursive: true });
});

async function webKeys(key: KeyObject): Promise<webcrypto.CryptoKeyPair> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const [pkcs8, spki] = [key.export({ type: "pkcs8", format: "der" }), createPublicKey(key)];
  const publicDer = spki.export({ type: "spki", format: "der" });
  return {
    privateKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]),
    publicKey: await webcrypto.subtle.importKey("spki", publicDer, algorithm, true, ["verify"]),
  };
}

/** Gives what a test says, in that order; `asked` counts. */
async function startGiver() {
  const authority = await makeAuthority();
  const own = await makeCertificate({ issuer: authority, extensions: [spiffe("control-plane")] });
  const given: Given[] = [];
  const state = { askedCount: 0 };
  const give = (schema: DescMessage) => (_call: unknown, done: sendUnaryData<unknown>) => {
    state.askedCount++;
    const next = given.shift() ?? status.UNAVAILABLE;
    if (typeof next === "string") done(null, create(schema, { certificate: next }));
    else done({ code: next, details: "no" } as ServiceError);
  };
  const server = new Server();
  server.addService(grpcDefinition(EnrolAPI), {
    enrol: give(EnrolAPI.method.enrol.output),
    renew: give(EnrolAPI.method.renew.output),
  });
  const pair = { private_key: Buffer.from(own.keyPem), cert_chain: Buffer.from(own.certPem + authority.certPem) };
  const port = await new Promise<number>((resolve, reject) => {
    const done = (error: Error | null, bound: number) => (error === null ? resolve(bound) : reject(error));
    server.bindAsync("127.0.0.1:0", ServerCredentials.createSsl(null, [pair]), done);
  });
  cleanups.push(() => server.forceShutdown());
  const keys = await webKeys(folder.key()!);
  /** A certificate of this node's, but for what a test says. */
  const certificate = async (init: CertificateInit = {}) => {
    const made = await makeCertificate({ issuer: authority, keys, extensions: [spiffe(`node/${nodeId}`)], ...init });
    return made.certPem;
  };
  return { address: `127.0.0.1:${port}`, digest: authority.digest, given, state, certificate };
}

function joinAt(giver: { readonly address: string; readonly digest: string }): JoinedIdentity {
  // What follows a line has happened when it is told.
  const told = (_fields: object, text: string) => void setImmediate(() => events.emit(text));
  const log = { info: told, warn: told, error: told, debug: told } as unknown as Log;
  const token = { id: "t", secret: new Uint8Array(32), authorityDigest: giver.digest, expiresAtMs: 0 };
  const options = { folder, nodeId, controlPlanes: [giver.address], token, clock, random: () => 0.5, log };
  const identity = new JoinedIdentity(options);
  cleanups.push(() => identity.close());
  return identity;
}

const keptSerial = () =>
  new X509Certificate(JSON.parse(readFileSync(join(path, "identity.json"), "utf8")).certificate).serialNumber;

const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const useless: {
  name: string;
  make: (good: Awaited<ReturnType<typeof startGiver>>) => Promise<string>;
  says: string;
}[] = [
  { name: "nothing", make: async () => "", says: "cannot be used" },
  { name: "a certificate that is none", make: async () => broken, says: "cannot be used" },
  {
    name: "one with another behind it that is none",
    make: async ({ certificate }) => (await certificate()) + broken,
    says: "cannot be used",
  },
  {
    name: "another node's",
    make: ({ certificate }) => certificate({ extensions: [spiffe("node/b")] }),
    says: "is not this node's",
  },
  {
    name: "one of another key",
    make: async ({ certificate }) => await certificate({ keys: (await makeCertificate()).keys }),
    says: "cannot be used",
  },
  {
    name: "one that ends before it begins",
    make: ({ certificate }) => certificate({ notBefore: inDays(1), notAfter: inDays(-1) }),
    says: "is valid at no time",
  },
];

describe("JoinedIdentity", () => {
  it.each(useless)("does not join by $name, nor ends of it when its token is refused then", async ({ make, says }) => {
    const giver = await startGiver();
    giver.given.push(await make(giver), status.UNAUTHENTICATED, await giver.certificate());
    const identity = joinAt(giver);
    await once(events, "this node could not join");
    expect(identity.status).toMatchObject({ expiresAtMs: null, problem: expect.stringContaining(says) });
    expect(identity.access(giver.address)).toMatchObject({ ok: false });
    clock.advance(30_000);
    await once(events, "this node could not join");
    expect(identity.status.problem).toContain("no");
    clock.advance(30_000);
    await once(events, "this node has joined");
    expect([identity.access(giver.address).ok, identity.status.problem]).toEqual([true, null]);
  });

  it.each(useless)("keeps what it has where it is given $name in its place", async ({ make, says }) => {
    const giver = await startGiver();
    giver.given.push(await giver.certificate(), await make(giver), await giver.certificate());
    const identity = joinAt(giver);
    await once(events, "this node has joined");
    const [serial, { expiresAtMs }] = [keptSerial(), identity.status];
    clock.advance(70 * 24 * hourMs);
    clock.advance(1);
    await once(events, "the node's certificate could not be renewed");
    expect(identity.status).toMatchObject({ expiresAtMs, problem: expect.stringContaining(says) });
    expect([keptSerial(), identity.access(giver.address).ok]).toEqual([serial, true]);
    clock.advance(600_000);
    await once(events, "the node's certificate is renewed");
    expect(keptSerial()).not.toBe(serial);
  });

  it("takes one that has other names beside this node's", async () => {
    const giver = await startGiver();
    const names = [
      { type: "dns", value: "n.example" } as const,
      { type: "url", value: `spiffe://p/node/${nodeId}` } as const,
    ];
    giver.given.push(await giver.certificate({ extensions: [new x509.SubjectAlternativeNameExtension(names)] }));
    const identity = joinAt(giver);
    await once(events, "this node has joined");
    expect(identity.status.problem).toBeNull();
  });

  it("asks for the next once a minute where each is due at once", async () => {
    const giver = await startGiver();
    const init = { notBefore: inDays(-2), notAfter: inDays(-1) };
    giver.given.push(await giver.certificate(init), await giver.certificate(init), await giver.certificate(init));
    joinAt(giver);
    await once(events, "this node has joined");
    for (const count of [2, 3]) {
      expect(clock.nextDelayMs()).toBe(60_000);
      clock.advance(60_000);
      await once(events, "the node's certificate is renewed");
      expect(giver.state.askedCount).toBe(count);
    }
  });
});
