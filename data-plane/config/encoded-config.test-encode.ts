import { type ConfigUpdate, type EncodedConfig, packPages, sharedPage } from "./encoded-config.ts";
import { TlsEncoder } from "./encoded-tls.ts";
import { pageSlotCount } from "./paged-slots.ts";
import type { EndpointSet, WorkerConfig } from "./worker-config.ts";

/** A config that a test has as a whole, as workers are sent it. */
export function encodeConfig(config: WorkerConfig, sets: readonly EndpointSet[] = []): EncodedConfig {
  const { publication, revision, pools, services, routes } = config;
  const setOf = (key: string) => sets.find(({ poolKey }) => poolKey === key) ?? null;
  const items = [
    ...inPages(pools, (pool, slot) => [slot, pool, setOf(pool.key)] as const).map((page) => ({ pools: page })),
    ...inPages(services, (service, slot) => [slot, service] as const).map((page) => ({ services: page })),
    ...inPages(routes, (route, slot) => [slot, route] as const).map((page) => ({ routes: page })),
  ];
  return {
    ...{ publication, revision, isWhole: true },
    pages: packPages(items.map(sharedPage)),
    rings: pools.flatMap(({ key }, slot) => {
      const rings = setOf(key)?.rings ?? null;
      return rings === null ? [] : [[slot, rings] as const];
    }),
    tls: new TlsEncoder().encode(config.tls),
  };
}

/** The same for all workers, those that serve and those that begin. */
export function wholeUpdate(config: EncodedConfig): ConfigUpdate {
  return { publication: config.publication, change: null, whole: () => config };
}

function inPages<T, R>(list: readonly T[], toItem: (item: T, slot: number) => R): R[][] {
  const pages: R[][] = [];
  for (const [slot, item] of list.entries()) {
    const page = Math.floor(slot / pageSlotCount);
    pages[page] ??= [];
    pages[page].push(toItem(item, slot));
  }
  return pages;
}
