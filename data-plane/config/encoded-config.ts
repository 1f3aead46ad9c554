import { untilDone } from "../steps/until-done.ts";
import { type EncodedTls, TlsDecoder } from "./encoded-tls.ts";
import type { PassiveCheckConfig } from "./health-check-config.ts";
import type { TlsConfig } from "./tls-config.ts";
import type { EndpointSet, HashRing, PoolConfig, RouteConfig, ServiceConfig } from "./worker-config.ts";

/**
 * A config on its way to the workers: all of it, or what is to be changed in the one before. In pages, so that a worker
 * reads it piece by piece; those of a whole one are in memory that all threads share: a copy for each message would
 * leave each thread with the garbage of its own.
 */
export interface EncodedConfig {
  readonly publication: number;
  readonly revision: number;
  /** Whether nothing remains of what was there before. */
  readonly isWhole: boolean;
  readonly pages: readonly string[] | SharedPages;
  /** Of the pools that hash, by their slots: memory that is no part of a page. */
  readonly rings: readonly (readonly [slot: number, rings: readonly HashRing[]])[];
  /** null: as before. */
  readonly tls: EncodedTls | null;
}

/** How workers get from what they serve to the next config. */
export interface ConfigUpdate {
  readonly publication: number;
  /** For workers that serve the config before it; null where they are to get all of it. */
  readonly change: EncodedConfig | null;
  /** All of it as it is now, also after names have come to stand for other endpoints: for workers that begin. */
  readonly whole: () => EncodedConfig;
}

/** A page as JSON. What is in shared memory is never written to again. */
export type EncodedPage = string | SharedArrayBuffer | Uint8Array;

/** Many pages in one piece of shared memory: to take over a piece costs a thread some 10 us, however large it is. */
export interface SharedPages {
  readonly bytes: SharedArrayBuffer;
  /** Where each page ends. */
  readonly ends: Uint32Array;
}

/** What slots hold from now on; null = nothing. A slot that is not named stays as it is. */
export interface ConfigPage {
  readonly pools?: readonly (readonly [slot: number, pool: PoolConfig | null, set: EndpointSet | null])[];
  readonly services?: readonly (readonly [slot: number, service: ServiceConfig | null])[];
  readonly routes?: readonly (readonly [slot: number, route: RouteConfig | null])[];
}

/** A page as JSON. `shared` has, as JSON texts, what items of a page have in common: they have its index. */
interface PageText {
  readonly shared: readonly string[];
  readonly pools: readonly (readonly [number, SharingPool | null, SentSet | null])[];
  readonly services: readonly (readonly [number, SharingService | null])[];
  readonly routes: readonly (readonly [number, RouteConfig | null])[];
}
type SharedPart = "balancing" | "resilience" | "passive";
type SharingPool = Omit<PoolConfig, SharedPart> & Readonly<Record<SharedPart, number>>;
type SharingService = Omit<ServiceConfig, "tls"> & { readonly tls: number };
type SentSet = Omit<EndpointSet, "rings" | "poolKey">;
type PassiveText = Omit<PassiveCheckConfig, "statusKinds"> & { readonly statusKinds: string };

/** Shared objects that a reader remembers; beyond that many it begins anew, and shares nothing with what it read before. */
const rememberMax = 4_096;

/** The page as a text; rings stay out of it. */
export function encodePage({ pools = [], services = [], routes = [] }: ConfigPage): string {
  const shared: string[] = [];
  const indexByText = new Map<string, number>();
  const indexByPart = new Map<object, number>();
  const share = (part: object | null, text: () => string): number => {
    if (part === null) return -1;
    let index = indexByPart.get(part);
    if (index !== undefined) return index;
    const written = text();
    index = indexByText.get(written) ?? shared.push(written) - 1;
    indexByText.set(written, index);
    indexByPart.set(part, index);
    return index;
  };
  const page: PageText = {
    shared,
    pools: pools.map(([slot, pool, set]) => {
      if (pool === null) return [slot, null, null];
      const { balancing, resilience, passive } = pool;
      const parts = {
        balancing: share(balancing, () => JSON.stringify(balancing)),
        resilience: share(resilience, () => JSON.stringify(resilience)),
        passive: share(passive, () => JSON.stringify(passiveText(passive!))),
      };
      return [slot, { ...pool, ...parts }, set === null ? null : sentSet(set)];
    }),
    services: services.map(([slot, service]) => {
      if (service === null) return [slot, null];
      return [slot, { ...service, tls: share(service.tls, () => JSON.stringify(service.tls)) }];
    }),
    routes,
  };
  return JSON.stringify(page);
}

/** The page in memory that all threads share. */
export function sharedPage(page: ConfigPage): SharedArrayBuffer {
  const text = encodePage(page);
  const bytes = new SharedArrayBuffer(Buffer.byteLength(text));
  Buffer.from(bytes).write(text);
  return bytes;
}

/** `packSteps` in one go: some 8 ms for 10,000 routes. */
export function packPages(pages: readonly SharedArrayBuffer[]): SharedPages {
  return untilDone(packSteps(pages));
}

/** A copy of pages as one piece, in steps of one page. */
export function* packSteps(pages: readonly SharedArrayBuffer[]): Generator<void, SharedPages> {
  const ends = new Uint32Array(pages.length);
  let end = 0;
  for (const [i, { byteLength }] of pages.entries()) ends[i] = end += byteLength;
  const bytes = new SharedArrayBuffer(end);
  const all = new Uint8Array(bytes);
  for (const [i, page] of pages.entries()) {
    all.set(new Uint8Array(page), i === 0 ? 0 : ends[i - 1]!);
    yield;
  }
  return { bytes, ends };
}

function* eachPage(pages: EncodedConfig["pages"]): Generator<EncodedPage> {
  if (!("ends" in pages)) {
    yield* pages;
    return;
  }
  let from = 0;
  for (const end of pages.ends) {
    yield new Uint8Array(pages.bytes, from, end - from);
    from = end;
  }
}

/** What a worker has to read of it. */
export function pagesByteCount({ pages }: EncodedConfig): number {
  return "ends" in pages ? pages.bytes.byteLength : pages.reduce((sum, page) => sum + Buffer.byteLength(page), 0);
}

function textOf(bytes: SharedArrayBuffer | Uint8Array): string {
  const isView = ArrayBuffer.isView(bytes);
  return (isView ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : Buffer.from(bytes)).toString();
}

function sentSet({ endpoints, emptyBecause }: EndpointSet): SentSet {
  return { endpoints, emptyBecause };
}

function passiveText(passive: PassiveCheckConfig): PassiveText {
  return { ...passive, statusKinds: Buffer.from(passive.statusKinds).toString("base64") };
}

function passiveOf(text: string): PassiveCheckConfig {
  const { statusKinds, ...passive } = JSON.parse(text) as PassiveText;
  return { ...passive, statusKinds: new Uint8Array(Buffer.from(statusKinds, "base64")) };
}

/** Reads pages, one config after the other: what items have in common is one object for all of them. */
export class ConfigDecoder {
  /** By kind and text. */
  #shared = new Map<string, object>();
  #sharedBefore = new Map<string, object>();
  #protocolLists = new Map<string, RouteConfig["protocols"]>();
  readonly #tls = new TlsDecoder();

  /** What the config says of TLS, in steps; null = as before. Errors: throws when it cannot be read. */
  *tlsSteps({ tls }: EncodedConfig): Generator<void, TlsConfig | null> {
    return tls === null ? null : yield* this.#tls.decodeSteps(tls);
  }

  /** The pages, each read when it is asked for. Errors: throws when one is none. */
  *pagesOf({ pages, rings, isWhole }: EncodedConfig): Generator<ConfigPage> {
    // What the config before had in common, this one most likely has as well: then it is the same objects.
    if (isWhole || this.#shared.size > rememberMax) {
      this.#sharedBefore = isWhole ? this.#shared : new Map();
      this.#shared = new Map();
    }
    const ringsBySlot = new Map(rings);
    for (const page of eachPage(pages)) yield this.page(page, ringsBySlot);
  }

  page(bytes: EncodedPage, ringsBySlot: ReadonlyMap<number, readonly HashRing[]> = new Map()): ConfigPage {
    const text = typeof bytes === "string" ? bytes : textOf(bytes);
    const { shared, pools, services, routes } = JSON.parse(text) as PageText;
    const part = <T extends object>(kind: string, index: number, read: (text: string) => T): T =>
      this.#part(kind, shared[index]!, read);
    for (const [, route] of routes) if (route !== null) this.#shareProtocols(route);
    return {
      pools: pools.map(([slot, pool, set]) => {
        if (pool === null) return [slot, null, null];
        const { balancing, resilience, passive } = pool;
        const parts: Pick<PoolConfig, SharedPart> = {
          balancing: part("b", balancing, JSON.parse),
          resilience: part("r", resilience, JSON.parse),
          passive: passive === -1 ? null : part("p", passive, passiveOf),
        };
        const rings = ringsBySlot.get(slot) ?? null;
        return [slot, { ...pool, ...parts }, set === null ? null : { poolKey: pool.key, ...set, rings }];
      }),
      services: services.map(([slot, service]) => {
        if (service === null) return [slot, null];
        return [slot, { ...service, tls: service.tls === -1 ? null : part("t", service.tls, JSON.parse) }];
      }),
      routes,
    };
  }

  #part<T extends object>(kind: string, text: string, read: (text: string) => T): T {
    const key = kind + text;
    const known = this.#shared.get(key) as T | undefined;
    if (known !== undefined) return known;
    const made = (this.#sharedBefore.get(key) as T | undefined) ?? read(text);
    this.#shared.set(key, made);
    return made;
  }

  /** Nearly all routes have the same list. */
  #shareProtocols(route: RouteConfig): void {
    const names = route.protocols.join();
    const protocols = this.#protocolLists.get(names) ?? route.protocols;
    if (this.#protocolLists.size < rememberMax) this.#protocolLists.set(names, protocols);
    (route as { protocols: RouteConfig["protocols"] }).protocols = protocols;
  }
}
