import { type Read, type Reading, readDuration } from "./option-readers.ts";

/** What has to be so for the node to want traffic. */
export type ReadyCondition =
  /** It has a configuration. */
  | { readonly name: "has-config" }
  /** A worker takes connections and, where there is a configuration, serves it. */
  | { readonly name: "listeners-up" }
  /** It serves all that its control plane has, or did so no longer ago than this. */
  | { readonly name: "in-sync"; readonly withinMs: number }
  /** An endpoint gets requests. */
  | { readonly name: "healthy-endpoint" };

/** Where a node stands. */
export interface ReadyFacts {
  readonly isDraining: boolean;
  readonly hasConfig: boolean;
  /** Workers that take connections. */
  readonly listeningCount: number;
  /** Of these, the ones that serve a configuration. */
  readonly servingCount: number;
  /** For how long it has not served all that its control plane has; 0 while it does, null when it never did. */
  readonly outOfSyncMs: number | null;
  readonly endpoints: () => { readonly healthyCount: number; readonly count: number };
}

/** A condition that is not met. "draining" is always asked. */
export interface UnmetCondition {
  readonly condition: ReadyCondition["name"] | "draining";
  /** In a few words. */
  readonly reason: string;
}

const CONDITION_NAMES = ["has-config", "listeners-up", "in-sync", "healthy-endpoint"] as const;

const IN_SYNC_DEFAULT_MS = 30_000;

/** A list of conditions, such as `has-config,in-sync=30s`. */
export const readReadyConditions: Read<readonly ReadyCondition[]> = (text) => {
  const conditions: ReadyCondition[] = [];
  for (const item of text.split(",").map((word) => word.trim())) {
    const reading = readCondition(item);
    if (!reading.ok) return { ok: false, problem: `is no list of conditions: ${reading.problem}` };
    if (conditions.some(({ name }) => name === reading.value.name))
      return { ok: false, problem: `names ${reading.value.name} twice` };
    conditions.push(reading.value);
  }
  return { ok: true, value: conditions };
};

function readCondition(item: string): Reading<ReadyCondition> {
  const [word = "", ...rest] = item.split("=");
  const value = rest.length === 0 ? null : rest.join("=");
  const name = CONDITION_NAMES.find((one) => one === word);
  if (name === undefined)
    return { ok: false, problem: `${JSON.stringify(item)} is not one of ${CONDITION_NAMES.join(", ")}` };
  if (name !== "in-sync") {
    return value === null ? { ok: true, value: { name } } : { ok: false, problem: `${name} takes no value` };
  }
  const within = value === null ? { ok: true as const, value: IN_SYNC_DEFAULT_MS } : readDuration(value);
  if (!within.ok) return { ok: false, problem: `in-sync=${value} ${within.problem}` };
  return { ok: true, value: { name, withinMs: within.value } };
}

/** Why the node wants no traffic, a condition each; empty when it does. */
export function unmetConditions(conditions: readonly ReadyCondition[], facts: ReadyFacts): readonly UnmetCondition[] {
  const unmet: UnmetCondition[] = facts.isDraining ? [{ condition: "draining", reason: "draining" }] : [];
  for (const condition of conditions) {
    const reason = whyUnmet(condition, facts);
    if (reason !== null) unmet.push({ condition: condition.name, reason });
  }
  return unmet;
}

function whyUnmet(condition: ReadyCondition, facts: ReadyFacts): string | null {
  switch (condition.name) {
    case "has-config":
      return facts.hasConfig ? null : "no configuration available";
    case "listeners-up":
      if (facts.listeningCount === 0) return "no worker listens";
      return facts.hasConfig && facts.servingCount === 0 ? "no worker is ready" : null;
    case "in-sync":
      return whyOutOfSync(condition.withinMs, facts.outOfSyncMs);
    case "healthy-endpoint":
      return whyNoEndpoint(facts.endpoints());
  }
}

function whyOutOfSync(withinMs: number, outOfSyncMs: number | null): string | null {
  if (outOfSyncMs === null) return "not in sync with a control plane since the start";
  if (outOfSyncMs <= withinMs) return null;
  return `not in sync with a control plane for ${Math.floor(outOfSyncMs / 1_000)} s`;
}

function whyNoEndpoint({ healthyCount, count }: ReturnType<ReadyFacts["endpoints"]>): string | null {
  if (healthyCount > 0) return null;
  return count === 0 ? "there is no endpoint" : `none of ${count} endpoints is healthy`;
}
