import { randomBytes } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { CertificateSchema, TicketKeySchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";

/** There is one, so it needs no id of its own; two that are made at once collide, and one is decided anew. */
const ticketKeyId = "00000000-0000-4000-8000-000000000001";

/** Name, key of the MAC and key of the cipher, 16 bytes each. */
const ticketKeyBytes = 48;

/**
 * The writes of a transaction, with what they do to the key of TLS session tickets. A session that was made before the
 * change must not go on after it under what was withdrawn: a revoked certificate or authority, or a name that now asks
 * for a client's certificate. The key comes with the first certificate: before it, no node takes TLS of ours.
 */
export function withTicketKey(
  image: ResourceImage,
  writes: readonly ResourceWrite[],
  nowMs: number,
): readonly ResourceWrite[] {
  const isThere = image.get("ticket_key", ticketKeyId) !== undefined;
  const isNeeded = isThere
    ? writes.some((write) => isWithdrawal(image, writes, write))
    : writes.some(({ kind, operation }) => kind === "certificate" && operation === "create");
  return isNeeded ? [...writes, ticketKeyWrite(isThere, nowMs)] : writes;
}

/** When the key was made; null where there is none. Unix time in milliseconds. */
export function ticketKeyMadeAtMs(image: ResourceImage): number | null {
  const createdAt = image.get("ticket_key", ticketKeyId)?.message.createdAt;
  return createdAt === undefined ? null : timestampMs(createdAt);
}

/** Puts a new key in the place of the one that is there. */
export function rotatedTicketKey(nowMs: number): ResourceWrite {
  return ticketKeyWrite(true, nowMs);
}

function ticketKeyWrite(isThere: boolean, nowMs: number): ResourceWrite {
  const key = create(TicketKeySchema, {
    id: ticketKeyId,
    key: new Uint8Array(randomBytes(ticketKeyBytes)),
    createdAt: timestampFromMs(nowMs),
  });
  return {
    kind: "ticket_key",
    id: ticketKeyId,
    operation: isThere ? "update" : "create",
    body: toBinary(TicketKeySchema, key),
    // Whoever is last: any new key ends what was before it.
    expectedRevision: null,
    uniqueKeys: [],
    references: [],
  };
}

function isWithdrawal(image: ResourceImage, writes: readonly ResourceWrite[], write: ResourceWrite): boolean {
  if (write.kind !== "certificate" && write.kind !== "sni" && write.kind !== "ca_certificate") return false;
  if (write.operation !== "create") return true;
  // A new name may take clients over from a wildcard or the default, which asked them for no certificate.
  const certificate = write.kind === "sni" ? write.references[0]?.id : undefined;
  return certificate !== undefined && asksClients(image, writes, certificate);
}

/** Whether a certificate, as it is after the writes, asks clients for one of theirs. */
function asksClients(image: ResourceImage, writes: readonly ResourceWrite[], id: string): boolean {
  const written = writes.find((write) => write.kind === "certificate" && write.id === id);
  const message =
    written === undefined ? image.get("certificate", id)?.message : fromBinary(CertificateSchema, written.body);
  return message?.clientAuthentication !== undefined;
}
