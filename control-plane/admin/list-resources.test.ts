import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { granted, targetDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { openAdmin } from "./admin.ts";
import { ResourceLists } from "./list-resources.ts";
import { services } from "./services.ts";

const idOf = (i: number) => `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;

/** An image of services only, counting how often they are read as a whole. */
class ServiceImage {
  revision = 1;
  readCount = 0;
  readonly rows: StoredResource<"service">[] = [];

  add(i: number, tags: string[] = []): void {
    const message = create(ServiceSchema, { id: idOf(i), host: "a.test", tags, createdAt: timestampFromMs(i) });
    this.rows.push({ kind: "service", id: message.id, revision: this.revision, body: new Uint8Array(), message });
    this.revision++;
  }

  all(): Iterable<StoredResource> {
    this.readCount++;
    return this.rows;
  }
}

const asImage = (image: ServiceImage) => image as unknown as ResourceImage;

function pagesOf(lists: ResourceLists<"service">, image: ServiceImage, size: number, tags?: string[]): string[][] {
  const pages: string[][] = [];
  let pageToken: string | undefined;
  do {
    const query = { size, ...(tags === undefined ? {} : { tags }), ...(pageToken === undefined ? {} : { pageToken }) };
    const page = granted(lists.list(asImage(image), query));
    pages.push(page.rows.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return pages;
}

describe("ResourceLists", () => {
  it("gives every row once, ordered by id, whatever the order in which they came", () => {
    const image = new ServiceImage();
    for (const i of [3, 1, 5, 2, 4]) image.add(i);
    expect(pagesOf(new ResourceLists(services), image, 2)).toEqual([[idOf(1), idOf(2)], [idOf(3), idOf(4)], [idOf(5)]]);
  });

  it("gives no token when a page ends where the list ends, and an empty page of an empty list", () => {
    const image = new ServiceImage();
    expect(pagesOf(new ResourceLists(services), image, 2)).toEqual([[]]);
    for (const i of [1, 2]) image.add(i);
    expect(pagesOf(new ResourceLists(services), image, 2)).toEqual([[idOf(1), idOf(2)]]);
  });

  it("pages 20,000 rows and reads them as a whole only once", () => {
    const image = new ServiceImage();
    for (let i = 0; i < 20_000; i++) image.add((i * 7919) % 20_000);
    const pages = pagesOf(new ResourceLists(services), image, 1000);
    expect(pages.flat()).toEqual(Array.from({ length: 20_000 }, (_, i) => idOf(i)));
    expect(image.readCount).toBe(1);
  });

  it("goes on after the last row when rows come and go between pages", () => {
    const image = new ServiceImage();
    const lists = new ResourceLists(services);
    for (const i of [2, 4, 6, 8]) image.add(i);
    const first = granted(lists.list(asImage(image), { size: 2 }));
    image.rows.splice(1, 1);
    for (const i of [1, 5]) image.add(i);
    const next = granted(lists.list(asImage(image), { size: 9, pageToken: first.nextPageToken! }));
    expect(next.rows.map(({ id }) => id)).toEqual([idOf(5), idOf(6), idOf(8)]);
  });

  it("filters by every tag, with full pages", () => {
    const image = new ServiceImage();
    for (let i = 0; i < 12; i++) image.add(i, i % 3 === 0 ? ["a", "b"] : ["a"]);
    expect(pagesOf(new ResourceLists(services), image, 3, ["b", "a"])).toEqual([
      [idOf(0), idOf(3), idOf(6)],
      [idOf(9)],
    ]);
    expect(pagesOf(new ResourceLists(services), image, 3, ["c"])).toEqual([[]]);
  });

  it.each(["x", "%%%", "MCBub3RhdXVpZA", `${Buffer.from(`0 ${idOf(1)}`).toString("base64url")}=`])(
    "refuses the page token %j",
    (pageToken) => {
      expect(new ResourceLists(services).list(asImage(new ServiceImage()), { size: 1, pageToken })).toEqual({
        ok: false,
        problems: [
          {
            code: "invalid_page_token",
            field: "page_token",
            message: `'${pageToken}' is not a valid offset: bad base64 encoding`,
          },
        ],
      });
    },
  );

  it.each([0, 1001, 1.5, Number.NaN])("refuses %d rows in a page", (size) => {
    expect(new ResourceLists(services).list(asImage(new ServiceImage()), { size })).toMatchObject({
      problems: [{ code: "invalid", field: "size", message: "size must be an integer between 1 and 1000" }],
    });
  });

  it("gives the targets of one upstream, newest first", async () => {
    let nowMs = 1000;
    const admin = openAdmin(new MemoryStore(), () => nowMs);
    for (const name of ["u", "v"]) granted(await admin.upstream.create(upstreamDraft({ name })));
    for (const target of ["a.test:1", "b.test:1", "c.test:1"]) {
      nowMs += 1;
      granted(await admin.target.create(targetDraft({ target }), "u"));
      granted(await admin.target.create(targetDraft({ target }), "v"));
    }
    // A write does not move a row: pages stay stable.
    granted(await admin.target.update({ key: "a.test:1", parent: "u" }, targetDraft({ weight: 1 })));
    const first = granted(admin.target.list({ size: 2, parent: "u" }));
    const second = granted(admin.target.list({ size: 2, parent: "u", pageToken: first.nextPageToken! }));
    expect(first.rows.map(({ target }) => target)).toEqual(["c.test:1", "b.test:1"]);
    expect(second.rows.map(({ target }) => target)).toEqual(["a.test:1"]);
    expect(second.nextPageToken).toBeUndefined();
    expect(admin.target.list({ size: 2, parent: "nope" })).toMatchObject({
      ok: false,
      problems: [{ code: "not_found" }],
    });
    expect(admin.target.list({ size: 2 })).toMatchObject({ ok: false, problems: [{ code: "not_found" }] });
  });
});
