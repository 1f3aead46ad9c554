import { ConfigDecoder, type ConfigPage, sharedPage } from "./encoded-config.ts";
import type { RouteConfig, ServiceConfig } from "./worker-config.ts";

/** Reading and writing a page takes some 0.2 ms. */
export const pageSlotCount = 32;

interface ItemOf {
  readonly services: ServiceConfig;
  readonly routes: RouteConfig;
}
type Kind = keyof ItemOf;

/**
 * The services, or the routes, of a config by their slots, encoded as workers get them: of a large state no object is
 * kept. Never changed: an edit makes another one, which shares with this one every page that it did not touch.
 */
export class PagedSlots<K extends Kind> {
  readonly kind: K;
  /** undefined: a page without an item. */
  readonly #pages: readonly (SharedArrayBuffer | undefined)[];
  readonly itemCount: number;

  constructor(kind: K, pages: readonly (SharedArrayBuffer | undefined)[] = [], itemCount = 0) {
    this.kind = kind;
    this.#pages = pages;
    this.itemCount = itemCount;
  }

  get pages(): SharedArrayBuffer[] {
    return this.#pages.filter((page) => page !== undefined);
  }

  edit(): PagedSlotsEdit<K> {
    return new PagedSlotsEdit(this.kind, this.#pages, this.itemCount);
  }
}

/** Items with null for those that go. */
type Items<T> = Map<number, T | null>;

/** What becomes other slots. The ones that it began from stay as they are. */
export class PagedSlotsEdit<K extends Kind> {
  readonly #kind: K;
  readonly #pages: (SharedArrayBuffer | undefined)[];
  readonly #pending = new Map<number, Items<ItemOf[K]>>();
  readonly #decoder = new ConfigDecoder();
  #itemCount: number;

  constructor(kind: K, pages: readonly (SharedArrayBuffer | undefined)[], itemCount: number) {
    this.#kind = kind;
    this.#pages = [...pages];
    this.#itemCount = itemCount;
  }

  /** An item that fills its page is encoded with it; what is encoded is not kept. @param item null empties the slot */
  set(slot: number, item: ItemOf[K] | null): void {
    const page = Math.floor(slot / pageSlotCount);
    const items: Items<ItemOf[K]> = this.#pending.get(page) ?? new Map();
    this.#pending.set(page, items.set(slot, item));
    if (items.size === pageSlotCount) this.#encode(page, items);
  }

  /** Encodes what is left, in steps of one page. Nothing may be set any more. */
  *finishSteps(): Generator<void, PagedSlots<K>> {
    for (const [page, items] of this.#pending) {
      this.#encode(page, items);
      yield;
    }
    return new PagedSlots(this.#kind, this.#pages, this.#itemCount);
  }

  #encode(page: number, items: Items<ItemOf[K]>): void {
    this.#pending.delete(page);
    const merged = new Map<number, ItemOf[K]>();
    const former = this.#pages[page];
    if (former !== undefined) {
      const known = this.#decoder.page(former)[this.#kind] as readonly [number, ItemOf[K]][];
      for (const [slot, item] of known) merged.set(slot, item);
    }
    const countBefore = merged.size;
    for (const [slot, item] of items) {
      if (item === null) merged.delete(slot);
      else merged.set(slot, item);
    }
    this.#itemCount += merged.size - countBefore;
    while (this.#pages.length < page) this.#pages.push(undefined);
    const content: ConfigPage = { [this.#kind]: [...merged] };
    this.#pages[page] = merged.size === 0 ? undefined : sharedPage(content);
  }
}
