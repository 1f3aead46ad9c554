import { defaultBalancing } from "../config/balancing-config.ts";
import { defaultResilience } from "../config/resilience-config.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { EndpointResolver } from "./endpoint-resolver.ts";
import { EndpointRows } from "./endpoint-rows.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { parseHostsFile } from "./hosts-file.ts";
import type { LookupAnswer } from "./lookup-name.ts";
import type { PoolMember, PoolPlan } from "./pool-plan.ts";
import { NameResolver } from "./resolve-name.ts";
import { FakeTimers } from "./timers.test-fake.ts";

export function member(host: string, port = 80, weight = 100): PoolMember {
  return { targetId: `t-${host}`, host, port, weight, priority: 0, zone: null, maxInFlight: 0, impliedPort: port };
}

/** An upstream's pool with nothing configured. */
export function pool(key: string, ...members: PoolMember[]): PoolPlan {
  return {
    key,
    name: key,
    hostHeader: null,
    isUpstream: true,
    algorithm: "round-robin",
    balancing: defaultBalancing,
    resilience: defaultResilience,
    passive: null,
    activeCheck: null,
    overrides: [],
    weightBasis: "per_address",
    usesSrvName: false,
    slots: 1_000,
    members,
  };
}

/** A resolver over a hosts file that the test writes; workers take in what they are sent when the test says so. */
export function resolverRig(given: { endpointsMax?: number; endpointRowsMax?: number; zone?: string } = {}) {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: given.endpointRowsMax ?? 100, poolRowsMax: 10 });
  const rows = new EndpointRows(table, 300_000);
  const sent: (readonly EndpointSet[])[] = [];
  const overflows: string[] = [];
  /** What was told to be used next, and what came into use; each set with its pool's key. */
  const [prepared, used]: [EndpointSet[], EndpointSet[][]] = [[], []];
  const rigged = {
    timers,
    table,
    rows,
    sent,
    overflows,
    prepared,
    used,
    hostsText: "",
    catchUp: [] as (() => void)[],
    answers: {} as Record<string, LookupAnswer>,
  };
  const names: NameResolver = new NameResolver({
    lookup: async (name) => rigged.answers[name] ?? new Promise<LookupAnswer>(() => {}),
    hosts: { addressesOf: (name) => parseHostsFile(rigged.hostsText).addressesOf(name) },
    families: "fastest",
    race: async () => null,
    timers,
    random: () => 0,
    onChange: (name) => endpoints.nameChanged(name),
  });
  const endpoints: EndpointResolver = new EndpointResolver({
    names,
    rows,
    timers,
    firstAnswersWaitMs: 500,
    endpointsMax: given.endpointsMax ?? 100,
    zone: given.zone ?? null,
    onPrepared: (_, set) => prepared.push(set),
    onUse: (_, sets) => used.push([...sets.values()]),
    onSets: (sets) => sent.push(sets),
    onOverflow: (name) => overflows.push(name),
    caughtUp: () => new Promise((resolve) => rigged.catchUp.push(resolve)),
  });
  async function write(text: string) {
    rigged.hostsText = text;
    names.configChanged();
    await timers.pass(20);
  }
  return Object.assign(rigged, { names, endpoints, write });
}
