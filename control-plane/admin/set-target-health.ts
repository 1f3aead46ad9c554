import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import type { Checked } from "../resource/checked.ts";
import { normalizeEndpointAddress } from "../resource/endpoint-address.ts";
import { invalid } from "../resource/problems.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { actor, changedTooOften, triesMaxCount, unavailable } from "./commit-write.ts";
import { deletion } from "./deletion.ts";
import { findResource } from "./find-resource.ts";
import type { HealthDecided, HealthDecision } from "./resource-admin.ts";
import type { AdminContext } from "./resource-definition.ts";
import { targets } from "./targets.ts";
import { inTurn } from "./write-resource.ts";

/** Addresses of one target that something is decided of; more would be no target but a network. */
const addressesMaxCount = 1_000;

interface Decided {
  readonly writes: readonly ResourceWrite[];
  readonly expiresAtUnixMs: number | null;
}

/** Stores what a person decided of a target, in the place of what was decided before. */
export function setTargetHealth(context: AdminContext, decision: HealthDecision): Promise<Checked<HealthDecided>> {
  const key = { key: decision.target, parent: decision.upstream };
  return inTurn(context, targets, key, async () => {
    for (let tries = 1; tries <= triesMaxCount; tries++) {
      const target = findResource(context.store.image, targets, key);
      if (!target.ok) return target;
      const decided = decide(context, target.value, decision);
      if (!decided.ok) return decided;
      const { writes, expiresAtUnixMs } = decided.value;
      const outcome = await context.store.transact(writes, actor);
      if (outcome.ok) return { ok: true, value: { revision: outcome.revision, expiresAtUnixMs } };
      if (outcome.conflict.type === "unavailable") return unavailable(outcome.conflict.message);
      // The target went, or an older decision expired meanwhile: look again.
    }
    return unavailable(changedTooOften);
  });
}

function decide(
  { store, clock }: AdminContext,
  target: StoredResource<"target">,
  decision: HealthDecision,
): Checked<Decided> {
  const address = decision.address === "" ? "" : normalizeEndpointAddress(decision.address);
  if (address === null) {
    const message = `invalid address '${decision.address}': expected ip:port, an IPv6 address in brackets`;
    return { ok: false, problems: [invalid("address", message)] };
  }
  const before = [...store.image.referrers("health_override", "target", target.id)];
  const own = before.find(({ message }) => message.address === address);
  if (own === undefined && address !== "" && before.length >= addressesMaxCount) {
    const message = `something is decided of ${addressesMaxCount} addresses of this target already`;
    return { ok: false, problems: [invalid("address", message)] };
  }
  const nowMs = clock();
  const expiresAtUnixMs = decision.expiresInMs === null ? null : nowMs + decision.expiresInMs;
  const body = create(HealthOverrideSchema, {
    id: own?.id ?? randomUUID(),
    target: { id: target.id },
    address,
    healthy: decision.isHealthy,
    ...(expiresAtUnixMs === null ? {} : { expiresAt: timestampFromMs(expiresAtUnixMs) }),
    decidedAt: laterThan(before, nowMs),
  });
  const write: ResourceWrite = {
    kind: "health_override",
    id: body.id,
    operation: own === undefined ? "create" : "update",
    body: toBinary(HealthOverrideSchema, body),
    expectedRevision: own?.revision ?? null,
    // Two that are made at once collide, and one is decided anew.
    uniqueKeys: [`address:${target.id}:${address}`],
    references: [{ kind: "target", id: target.id }],
  };
  // What is decided of the whole target is decided of each of its addresses.
  const replaced = address === "" ? before.filter((other) => other !== own) : [];
  return {
    ok: true,
    value: { writes: [...replaced.map((other) => deletion(other, other.revision)), write], expiresAtUnixMs },
  };
}

/** A newer decision is told from an older one by its time, also under a clock that stands still or goes back. */
function laterThan(before: readonly StoredResource<"health_override">[], nowMs: number): Timestamp {
  const times = before.map(({ message }) => (message.decidedAt === undefined ? 0 : timestampMs(message.decidedAt) + 1));
  return timestampFromMs(Math.max(nowMs, ...times));
}
