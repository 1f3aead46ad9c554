import { isDeepStrictEqual } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  JoinTokenSchema,
  type NodeIdentity,
  NodeIdentitySchema,
} from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { Authority } from "./authority.ts";
import { type JoinReason, judgeJoin } from "./judge-join.ts";
import { secretHashOf, tokenWrite } from "./node-tokens.ts";
import { readCertificateRequest } from "./read-certificate-request.ts";

export interface CertifyContext {
  readonly store: Pick<Store, "image" | "transact">;
  readonly clock: Pick<Clock, "unixMs">;
  readonly authority: Authority;
  /** How long a node's certificate is valid. */
  readonly certificateLifeMs: number;
}

export type CertifyReason = JoinReason | "request" | "unavailable";

export type Certified =
  | {
      readonly ok: true;
      /** PEM. */
      readonly certificate: string;
      readonly expiresAtMs: number;
      readonly keyHash: Uint8Array;
    }
  | { readonly ok: false; readonly reason: CertifyReason; readonly cause: string };

/** What a node shows to join. */
export interface JoinRequest {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly nodeId: string;
  /** DER. */
  readonly certificateRequest: Uint8Array;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const triesMax = 5;
/** Who the change log names. */
const actor = "node-join";

const notARequest = {
  ok: false,
  reason: "request",
  cause: "the certificate request is not one, or not of an ECDSA key on P-256",
} as const;

/**
 * Gives a node its first certificate. The token is used in the same transaction in which the node becomes known: of two
 * nodes that come with one token at once, one is refused.
 */
export async function certifyJoin(context: CertifyContext, request: JoinRequest): Promise<Certified> {
  const { nodeId, tokenId } = request;
  if (!uuid.test(nodeId)) return { ok: false, reason: "request", cause: "the node id is not a lower-case uuid" };
  const key = await readCertificateRequest(request.certificateRequest);
  if (key === null) return notARequest;
  const attempt = { nodeId, secretHash: secretHashOf(request.secret), keyHash: key.keyHash };
  for (let tries = 1; tries <= triesMax; tries++) {
    const { image } = context.store;
    const token = image.get("join_token", tokenId);
    const identity = image.get("node_identity", nodeId);
    const nowMs = context.clock.unixMs();
    const judged = judgeJoin(attempt, token?.message, identity?.message, nowMs);
    if (!judged.ok) return judged;
    if (judged.isRepeated) return await certify(context, nodeId, key.publicKey, key.keyHash);
    const joinedAt = timestampFromMs(nowMs);
    const usedToken = create(JoinTokenSchema, {
      ...token!.message,
      usedAt: joinedAt,
      usedBy: nodeId,
      usedKeyHash: key.keyHash,
    });
    const labels = { ...token!.message.labels };
    const joined = create(NodeIdentitySchema, {
      ...{ id: nodeId, keyHash: key.keyHash, labels, joinTokenId: tokenId, joinedAt },
    });
    const writes = [tokenWrite("update", usedToken, token!.revision), identityWrite(joined, identity)];
    const outcome = await context.store.transact(writes, actor);
    if (outcome.ok) return await certify(context, nodeId, key.publicKey, key.keyHash);
    if (outcome.conflict.type === "unavailable")
      return { ok: false, reason: "unavailable", cause: outcome.conflict.message };
  }
  return { ok: false, reason: "unavailable", cause: "others changed the same at each try; try again" };
}

/** Gives a node another certificate for the key that it has shown. @param keyHash of the certificate that it shows */
export async function certifyRenewal(
  context: CertifyContext,
  nodeId: string,
  keyHash: Uint8Array,
  certificateRequest: Uint8Array,
): Promise<Certified> {
  const key = await readCertificateRequest(certificateRequest);
  if (key === null) return notARequest;
  if (!Buffer.from(key.keyHash).equals(keyHash))
    return { ok: false, reason: "duplicate", cause: "a certificate is renewed for the same key only" };
  return await certify(context, nodeId, key.publicKey, key.keyHash);
}

async function certify(
  { authority, clock, certificateLifeMs }: CertifyContext,
  nodeId: string,
  publicKey: Uint8Array,
  keyHash: Uint8Array,
): Promise<Certified> {
  const nowMs = clock.unixMs();
  const expiresAtMs = nowMs + certificateLifeMs;
  const certificate = await authority.certifyNode(nodeId, publicKey, expiresAtMs, nowMs);
  return { ok: true, certificate, expiresAtMs, keyHash };
}

/**
 * Other labels are a publication, since with them the node is to have other content than under the number that it holds.
 * @param known the one that is there; undefined to create it
 */
export function identityWrite(
  identity: NodeIdentity,
  known: { readonly revision: number; readonly message: NodeIdentity } | undefined,
): ResourceWrite {
  return {
    kind: "node_identity",
    id: identity.id,
    operation: known === undefined ? "create" : "update",
    body: toBinary(NodeIdentitySchema, identity),
    expectedRevision: known?.revision ?? null,
    uniqueKeys: [],
    references: [],
    movesNodes: !isDeepStrictEqual({ ...identity.labels }, { ...known?.message.labels }),
  };
}
