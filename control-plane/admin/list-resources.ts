import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Checked, Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { invalid } from "../resource/problems.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { findParent } from "./find-resource.ts";
import type { ListQuery, Page } from "./resource-admin.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import { showResource } from "./show-resource.ts";

/** Rows in a page, at most. */
const sizeMax = 1000;

/** Sorted lists kept at once; a client that pages uses one for all of its pages. */
const sortedListMaxCount = 16;

/** Where a row stands in its list; rows after it come next, whatever was written between two pages. */
interface Position {
  /** When it was created, for lists that are newest first; else 0. */
  readonly createdMs: number;
  readonly id: string;
}

interface SortedList {
  readonly revision: number;
  readonly rows: readonly StoredResource[];
}

/** Lists of one kind, page by page. Keeps sorted lists until the next write, so that paging sorts once. */
export class ResourceLists<K extends Kind> {
  readonly #definition: ResourceDefinition<K>;
  /** By parent id; "" for the list without one. Oldest first. */
  readonly #sorted = new Map<string, SortedList>();

  constructor(definition: ResourceDefinition<K>) {
    this.#definition = definition;
  }

  list(image: ResourceImage, query: ListQuery): Checked<Page<ResourceOf[K]>> {
    if (!Number.isInteger(query.size) || query.size < 1 || query.size > sizeMax)
      return { ok: false, problems: [invalid("size", `size must be an integer between 1 and ${sizeMax}`)] };
    const parent = findParent(image, this.#definition as unknown as ResourceDefinition, query.parent);
    if (!parent.ok) return parent;
    const rows = this.#sortedRows(image, parent.value?.id ?? null);
    const start = this.#startOf(rows, query.pageToken);
    if (start === null) return { ok: false, problems: [badToken(query.pageToken ?? "")] };
    return { ok: true, value: this.#page(image, rows, start, query) };
  }

  #page(
    image: ResourceImage,
    rows: readonly StoredResource<K>[],
    start: number,
    { size, tags = [], withSecrets = false }: ListQuery,
  ): Page<ResourceOf[K]> {
    const show = (row: StoredResource<K>) => showResource(this.#definition, image, row, withSecrets);
    const picked: StoredResource<K>[] = [];
    for (let i = start; i < rows.length; i++) {
      const row = rows[i]!;
      if (!tags.every((tag) => row.message.tags.includes(tag))) continue;
      // One row more than the page: there is a next one, and it begins after the page's last row.
      if (picked.length === size)
        return { rows: picked.map(show), nextPageToken: encodeToken(this.#positionOf(picked[size - 1]!)) };
      picked.push(row);
    }
    return { rows: picked.map(show) };
  }

  #sortedRows(image: ResourceImage, parentId: string | null): readonly StoredResource<K>[] {
    const key = parentId ?? "";
    const known = this.#sorted.get(key);
    if (known?.revision === image.revision) return known.rows as readonly StoredResource<K>[];
    const { rules, parent } = this.#definition;
    const found = parentId === null ? image.all(rules.kind) : image.referrers(rules.kind, parent!.kind, parentId);
    const positioned = [...found].map((row) => ({ row, position: this.#positionOf(row) }));
    const rows = positioned.sort((a, b) => comparePositions(a.position, b.position)).map(({ row }) => row);
    this.#sorted.delete(key);
    this.#sorted.set(key, { revision: image.revision, rows });
    if (this.#sorted.size > sortedListMaxCount) this.#sorted.delete(this.#sorted.keys().next().value!);
    return rows;
  }

  /** Index of the first row after a page token; null when the token is none. */
  #startOf(rows: readonly StoredResource<K>[], pageToken: string | undefined): number | null {
    if (pageToken === undefined || pageToken === "") return 0;
    const after = decodeToken(pageToken);
    if (after === null) return null;
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePositions(this.#positionOf(rows[middle]!), after) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #positionOf({ id, message }: StoredResource<K>): Position {
    const createdAt = this.#definition.listOrder === "newest first" ? message.createdAt : undefined;
    return { createdMs: createdAt === undefined ? 0 : timestampMs(createdAt), id };
  }
}

function comparePositions(a: Position, b: Position): number {
  if (a.createdMs !== b.createdMs) return b.createdMs - a.createdMs;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function encodeToken({ createdMs, id }: Position): string {
  return Buffer.from(`${createdMs} ${id}`).toString("base64url");
}

function decodeToken(token: string): Position | null {
  const [createdMs = "", id = ""] = Buffer.from(token, "base64url").toString().split(" ");
  const position = { createdMs: Number(createdMs), id };
  // Only what encodes back to the same token was given out by a list.
  return isUuid(id) && Number.isSafeInteger(position.createdMs) && encodeToken(position) === token ? position : null;
}

function badToken(token: string) {
  const message = `'${token}' is not a valid offset: bad base64 encoding`;
  return { code: "invalid_page_token" as const, field: "page_token", message };
}
