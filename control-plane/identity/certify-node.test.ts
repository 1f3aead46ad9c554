import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { certificateRequest } from "../../data-plane/identity/certificate-request.ts";
import { readJoinToken } from "../../data-plane/identity/read-join-token.ts";
import { EnrolAPI } from "../../proto/gen/penstock/sync/v1/enrol_pb.ts";
import { hourMs, newKey, PresentClock, Refused, startSecuredHub } from "../../test/support/identity-rig.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { openAuthority } from "./authority.ts";
import { certifyJoin } from "./certify-node.ts";
import { NodeTokens } from "./node-tokens.ts";

const a = "aaaaaaaa-0000-4000-8000-000000000001";
const b = "bbbbbbbb-0000-4000-8000-000000000002";

/** What a call was refused with. */
async function refusalOf(call: Promise<unknown>): Promise<{ code: number; cause: string }> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Refused) return { code: error.code, cause: error.message };
    throw error;
  }
  throw new Error("the call was not refused");
}

describe("row 50: joining by a token", () => {
  it("refuses a token that another node has used, and records who tried", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    await rig.join(token, a);
    expect(await refusalOf(rig.join(token, b))).toEqual({
      code: status.UNAUTHENTICATED,
      cause: expect.stringMatching(new RegExp(`^the join token was used already, by node ${a} at `)),
    });
    expect(rig.identity.identities.refusals()).toMatchObject([
      { action: "join", nodeId: b, tokenId: token.id, count: 1, address: "127.0.0.1" },
    ]);
    expect(rig.identity.identities.tokens()).toMatchObject([{ id: token.id, usedBy: a }]);
  });

  it("answers the same node with the same key again, since the first answer may have got lost", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    const { key } = await rig.join(token, a);
    await rig.connected(await rig.join(token, a, key), a);
    expect((await refusalOf(rig.join(token, a))).cause).toContain("used already");
    rig.clock.advance(hourMs);
    expect((await refusalOf(rig.join(token, a, key))).cause).toContain("expired");
  });

  it("refuses a token that has expired, was taken back, or has another secret", async () => {
    const rig = await startSecuredHub();
    const [expiring, withdrawn, guessed] = [await rig.token({ ttlMs: 1_000 }), await rig.token(), await rig.token()];
    rig.clock.advance(1_000);
    expect(await refusalOf(rig.join(expiring, a))).toEqual({
      code: status.UNAUTHENTICATED,
      cause: expect.stringContaining("the join token expired at "),
    });
    expect(rig.identity.identities.refusals()).toMatchObject([
      { action: "join", nodeId: a, tokenId: expiring.id, cause: expect.stringContaining("expired at ") },
    ]);
    expect(await rig.identity.identities.removeToken(withdrawn.id)).toBe(true);
    expect(await rig.identity.identities.removeToken(withdrawn.id)).toBe(false);
    const unknown = { code: status.UNAUTHENTICATED, cause: expect.stringContaining("the join token is unknown") };
    expect(await refusalOf(rig.join(withdrawn, a))).toEqual(unknown);
    expect(await refusalOf(rig.join({ ...guessed, secret: new Uint8Array(32) }, a))).toEqual(unknown);
    // Of an expired token only its owner learns that it is one.
    expect(await refusalOf(rig.join({ ...expiring, secret: new Uint8Array(0) }, a))).toEqual(unknown);
    await rig.join(guessed, a);
  });

  it("keeps a token for the node that it names, and an id for the key that has it", async () => {
    const rig = await startSecuredHub();
    const forB = await rig.token({ nodeId: b });
    expect((await refusalOf(rig.join(forB, a))).cause).toBe(`the join token is for node ${b} only`);
    await rig.join(await rig.token(), b);
    const duplicate = await rig.token();
    expect(await refusalOf(rig.join(duplicate, b))).toEqual({
      code: status.ALREADY_EXISTS,
      cause: expect.stringContaining(`another key has joined as node ${b}`),
    });
    expect(rig.identity.identities.refusals()[0]).toMatchObject({ action: "join", nodeId: b, tokenId: duplicate.id });
    // A refusal costs no token; a token for the id says that the other key is to go.
    await rig.join(duplicate, a);
    await rig.join(forB, b);
  });

  it("refuses what is no request for a certificate, or not signed by its own key", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    const request = Buffer.from(certificateRequest(newKey()));
    const forged = Buffer.from(request);
    forged[forged.length - 1]! ^= 1;
    for (const certificateRequest of [Buffer.alloc(0), Buffer.from("no DER"), forged, Buffer.alloc(9_000)]) {
      const call = rig.call(EnrolAPI.method.enrol, {
        tokenId: token.id,
        secret: token.secret,
        nodeId: a,
        certificateRequest,
      });
      expect((await refusalOf(call)).code).toBe(status.INVALID_ARGUMENT);
    }
    expect((await refusalOf(rig.join(token, "not-a-uuid"))).code).toBe(status.INVALID_ARGUMENT);
    await rig.join(token, a);
  });

  it("joins nobody without TLS", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    const request = {
      tokenId: token.id,
      secret: token.secret,
      nodeId: a,
      certificateRequest: certificateRequest(newKey()),
    };
    const call = rig.call(EnrolAPI.method.enrol, request, credentials.createInsecure());
    expect(await refusalOf(call)).toEqual({ code: status.UNAUTHENTICATED, cause: "a node joins over TLS only" });
  });

  it("stops listening to an address where too many joins failed, for a minute", async () => {
    const rig = await startSecuredHub();
    const token = await rig.token();
    const wrong = { ...token, secret: new Uint8Array(32) };
    for (let i = 0; i < 60; i++) await refusalOf(rig.join(wrong, a));
    expect((await refusalOf(rig.join(token, a))).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(rig.identity.identities.refusals()).toMatchObject([{ count: 60, tokenId: token.id }]);
    rig.clock.advance(60_000);
    await rig.join(token, a);
  });
});

describe("certifyJoin on the durable store", () => {
  let folder: string;
  let store: SqliteStore;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "penstock-identity-"));
    store = await openSqliteStore(join(folder, "store.db"));
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it("lets exactly one of many win that come with one token at once, and publishes nothing", async () => {
    const clock = new PresentClock();
    const authority = await openAuthority(store, clock.unixMs());
    const tokens = new NodeTokens(store, clock, authority);
    const { text } = await tokens.make({ ttlMs: hourMs, labels: {}, nodeId: "" });
    const { id: tokenId, secret } = readJoinToken(text)!;
    const context = { store, clock, authority, certificateLifeMs: hourMs };
    const nodeIds = Array.from({ length: 8 }, (_, i) => `aaaaaaaa-0000-4000-8000-00000000000${i}`);
    const outcomes = await Promise.all(
      nodeIds.map((nodeId) =>
        certifyJoin(context, { tokenId, secret, nodeId, certificateRequest: certificateRequest(newKey()) }),
      ),
    );
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    expect(outcomes.filter((one) => !one.ok && one.reason === "token")).toHaveLength(7);
    expect(store.image.count("node_identity")).toBe(1);
    expect({ revision: store.image.revision, publication: store.image.publication }).toEqual({
      revision: 3,
      publication: 0,
    });
  });

  it("keeps the authority, its key sealed, and no secret of a token", async () => {
    const clock = new PresentClock();
    const { digest } = await openAuthority(store, clock.unixMs());
    const again = await openAuthority(store, clock.unixMs());
    const { text } = await new NodeTokens(store, clock, again).make({ ttlMs: hourMs, labels: {}, nodeId: "" });
    await store.close();
    const { readFileSync, readdirSync } = await import("node:fs");
    const files = readdirSync(folder).filter((name) => name.startsWith("store.db"));
    const onDisk = Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
    expect(onDisk.includes("node_authority")).toBe(true);
    expect(onDisk.includes("PRIVATE KEY")).toBe(false);
    expect(onDisk.includes(Buffer.from(readJoinToken(text)!.secret))).toBe(false);
    store = await openSqliteStore(join(folder, "store.db"));
    expect((await openAuthority(store, clock.unixMs())).digest).toBe(digest);
  });
});
