import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Checked, Kind } from "../resource/checked.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";
import { quarantinesInForce } from "../snapshot/held-versions.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import type { Fleet } from "../sync/fleet.ts";
import { actor, changedTooOften, unavailable } from "./commit-write.ts";
import { deletion } from "./deletion.ts";

/** Something that a node refused, as people are told. */
export interface QuarantineStatus {
  readonly id: string;
  /** What was refused, then what depends on it. */
  readonly entities: readonly QuarantinedEntity[];
  readonly reason: string;
  readonly field: string;
  readonly message: string;
  readonly publication: number;
  readonly keptPublication: number;
  /** Known to have refused it: since it was made, those that are remembered since this process started. */
  readonly nodeIds: readonly string[];
  readonly sinceUnixMs: number;
}

export interface QuarantinedEntity {
  readonly kind: string;
  readonly id: string;
  readonly name: string;
  /** 0: its deletion is held back. */
  readonly refusedRevision: number;
  readonly isServed: boolean;
  /** 0: not known, or not served. */
  readonly servedRevision: number;
  readonly isDependant: boolean;
}

/** What is in quarantine, read and released by people. */
export class Quarantines {
  readonly #store: Pick<Store, "image" | "transact">;
  readonly #fleet: Pick<Fleet, "nodes">;

  constructor(store: Pick<Store, "image" | "transact">, fleet: Pick<Fleet, "nodes">) {
    this.#store = store;
    this.#fleet = fleet;
  }

  /** The newest first. */
  list(): readonly QuarantineStatus[] {
    return quarantinesInForce(this.#store.image)
      .map((stored) => this.#status(stored))
      .reverse();
  }

  /** Lets the refused versions go to the nodes once more. Problems: not_found. */
  async release(id: string): Promise<Checked<{ readonly revision: number }>> {
    const stored = this.#store.image.get("quarantine", id);
    const outcome =
      stored === undefined ? null : await this.#store.transact([deletion(stored, stored.revision)], actor);
    if (outcome?.ok) return { ok: true, value: { revision: outcome.revision } };
    if (outcome?.conflict.type === "unavailable") return unavailable(outcome.conflict.message);
    if (outcome !== null && this.#store.image.get("quarantine", id) !== undefined) return unavailable(changedTooOften);
    return { ok: false, problems: [{ code: "not_found", field: "id", message: `there is no quarantine ${id}` }] };
  }

  /** What to know of a resource that nodes get in another version than the stored one, or that a node has refused. */
  warnings(kind: Kind, id: string): readonly Warning[] {
    for (const { entities, message, field, nodeIds } of this.list()) {
      const held = entities.find((entity) => entity.kind === kind && entity.id === id);
      if (held === undefined) continue;
      const instead = held.isServed ? "nodes serve its last good version" : "no node serves it";
      const by = `refused by node ${nodeIds.slice(0, 5).join(", ")}${nodeIds.length > 5 ? " and others" : ""}`;
      const why = held.isDependant ? `it depends on ${describe(entities[0]!)}, ${by}` : by;
      return [{ field, message: `in quarantine, ${instead}: ${why}: ${message}` }];
    }
    return [];
  }

  /** What nodes have refused of a resource since a time, also where nothing is held back for it, or not yet. */
  refusals(kind: Kind, id: string, sinceUnixMs: number): readonly Warning[] {
    const nacks = this.#fleet.nodes().flatMap(({ id: nodeId, lastNack }) => {
      const isOfIt = lastNack?.entityKind === kind && lastNack.entityId === id;
      return isOfIt && lastNack.receivedAtUnixMs >= sinceUnixMs ? [{ nodeId, lastNack }] : [];
    });
    const [first] = nacks;
    if (first === undefined) return [];
    const nodes = nacks.length === 1 ? `node ${first.nodeId}` : `${nacks.length} nodes, as ${first.nodeId},`;
    return [{ field: first.lastNack.field, message: `refused by ${nodes}: ${first.lastNack.message}` }];
  }

  #status({ id, message: quarantine }: StoredResource<"quarantine">): QuarantineStatus {
    const { reason, field, message } = quarantine;
    const refused = new Set(quarantine.entities.filter(({ depends }) => !depends).map(describe));
    const publication = Number(quarantine.publication);
    const others = this.#fleet.nodes().flatMap(({ id: nodeId, lastNack }) => {
      const isSame = lastNack !== null && lastNack.publication >= publication && lastNack.message === message;
      return isSame && refused.has(describe({ kind: lastNack.entityKind, id: lastNack.entityId })) ? [nodeId] : [];
    });
    return {
      ...{ id, reason, field, message, publication },
      keptPublication: Number(quarantine.keptPublication),
      nodeIds: [...new Set([...quarantine.nodeIds, ...others])],
      sinceUnixMs: timestampMs(quarantine.since!),
      entities: quarantine.entities.map(({ kind, id, name, refusedRevision, goodBody, goodRevision, depends }) => ({
        ...{ kind, id, name, isServed: goodBody !== undefined, isDependant: depends },
        refusedRevision: Number(refusedRevision),
        servedRevision: Number(goodRevision),
      })),
    };
  }
}

function describe({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind} ${id}`;
}
