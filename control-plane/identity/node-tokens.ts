import { createHash, randomBytes, randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type JoinToken, JoinTokenSchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { Authority } from "./authority.ts";
import { joinTokenText } from "./join-token-text.ts";

/** What to make a token for. */
export interface NodeTokenOrder {
  readonly ttlMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The only node that may use it; "" for any. */
  readonly nodeId: string;
}

export interface MadeNodeToken {
  readonly token: JoinToken;
  /** For the node; a secret. */
  readonly text: string;
}

export const tokenTtlMaxMs = 30 * 86_400_000;
export const tokenTtlDefaultMs = 3_600_000;

/** So long an expired token stays for people to see; then the next one that is made takes it away. */
const keepMs = 7 * 86_400_000;
/** Tokens that one write takes away. */
const dropMax = 100;
/** Who the change log names. */
const actor = "node-tokens";

/** The join tokens of a store. */
export class NodeTokens {
  readonly #store: Pick<Store, "image" | "transact">;
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #authority: Authority;

  constructor(store: Pick<Store, "image" | "transact">, clock: Pick<Clock, "unixMs">, authority: Authority) {
    this.#store = store;
    this.#clock = clock;
    this.#authority = authority;
  }

  /** Errors: rejects when the store does not take it. */
  async make({ ttlMs, labels, nodeId }: NodeTokenOrder): Promise<MadeNodeToken> {
    const nowMs = this.#clock.unixMs();
    const secret = new Uint8Array(randomBytes(32));
    const expiresAtMs = nowMs + ttlMs;
    const token = create(JoinTokenSchema, {
      id: randomUUID(),
      secretHash: secretHashOf(secret),
      labels: { ...labels },
      nodeId,
      createdAt: timestampFromMs(nowMs),
      expiresAt: timestampFromMs(expiresAtMs),
    });
    const old = this.list().filter(({ expiresAt }) => timestampMs(expiresAt!) < nowMs - keepMs);
    const writes = [tokenWrite("create", token, null), ...old.slice(0, dropMax).map(({ id }) => tokenDeletion(id))];
    const outcome = await this.#store.transact(writes, actor);
    if (!outcome.ok) throw new Error(`the join token could not be stored: ${outcome.conflict.type}`);
    const { digest: authorityDigest } = this.#authority;
    return { token, text: joinTokenText({ id: token.id, secret, authorityDigest, expiresAtMs }) };
  }

  /** The newest first. */
  list(): readonly JoinToken[] {
    const tokens = [...this.#store.image.all("join_token")].map(({ message }) => message);
    return tokens.sort((a, b) => timestampMs(b.createdAt!) - timestampMs(a.createdAt!) || (a.id < b.id ? -1 : 1));
  }

  /** False where there is no such token. */
  async remove(id: string): Promise<boolean> {
    if (this.#store.image.get("join_token", id) === undefined) return false;
    const outcome = await this.#store.transact([tokenDeletion(id)], actor);
    // Somebody else was faster: then it is gone as well.
    if (!outcome.ok && outcome.conflict.type !== "revision")
      throw new Error(`the join token could not be deleted: ${outcome.conflict.type}`);
    return outcome.ok;
  }
}

/** What is kept of a secret. */
export function secretHashOf(secret: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(secret).digest());
}

export function tokenWrite(
  operation: "create" | "update",
  token: JoinToken,
  expectedRevision: number | null,
): ResourceWrite {
  const body = toBinary(JoinTokenSchema, token);
  return { kind: "join_token", id: token.id, operation, body, expectedRevision, uniqueKeys: [], references: [] };
}

function tokenDeletion(id: string): ResourceWrite {
  return {
    kind: "join_token",
    id,
    operation: "delete",
    body: new Uint8Array(),
    expectedRevision: null,
    uniqueKeys: [],
    references: [],
  };
}
