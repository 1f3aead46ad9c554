import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { QuarantineSchema } from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { ledgerCommit } from "../rollout/ledger-commits.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { QuarantineView } from "./quarantine-view.ts";
import { heldEntity } from "./quarantine-write.ts";

const upstream = (id: string, tag: string) =>
  toBinary(UpstreamSchema, create(UpstreamSchema, { id, name: id, tags: [tag] }));

/** A store in which the second version of u1 is in quarantine. */
function storeWithQuarantine() {
  const store = new FakeSyncStore();
  store.putUpstream("u0", { tags: ["other"] });
  store.putUpstream("u1", { tags: ["bad"] });
  const good = { revision: 1, body: upstream("u1", "good") };
  const message = create(QuarantineSchema, {
    id: "q",
    entities: [heldEntity({ kind: "upstream", id: "u1", good }, store.image, false)],
    since: timestampFromMs(0),
  });
  store.put({ kind: "quarantine", id: "q", body: toBinary(QuarantineSchema, message), message });
  return store;
}

const tagsIn = ({ image }: Pick<QuarantineView, "image">) =>
  [...image.all("upstream")].map(({ message }) => message.tags[0]);

describe("QuarantineView", () => {
  it("shows the good version for as long as the refused one is stored", () => {
    const store = storeWithQuarantine();
    const view = new QuarantineView(store, store.image);
    expect(tagsIn(view)).toEqual(["other", "good"]);
    expect(view.image.get("upstream", "u1")?.message.tags).toEqual(["good"]);
    // The same object each time: contents are compared by their bodies' identity.
    expect(view.image.get("upstream", "u1")?.body).toBe(
      new QuarantineView(store, store.image).image.get("upstream", "u1")?.body,
    );
    store.putUpstream("u1", { tags: ["mended"] });
    expect(tagsIn(view)).toEqual(["other", "mended"]);
    expect(view.isHolding).toBe(false);
  });

  it("knows the refused version again in a state that was made of history, which says no revisions", () => {
    const store = storeWithQuarantine();
    const bad = store.image.get("upstream", "u1")!;
    store.putUpstream("u1", { tags: ["mended"] });
    const past = (resource: StoredResource) => {
      const all = (kind: string) => (kind === "upstream" ? [{ ...resource, revision: 0 }] : []);
      const image = { publication: 9, revision: 2, all, get: () => ({ ...resource, revision: 0 }) };
      return new QuarantineView({ epoch: store.epoch, image: image as never }, store.image);
    };
    expect(tagsIn(past(bad))).toEqual(["good"]);
    expect(tagsIn(past(store.image.get("upstream", "u1")!))).toEqual(["mended"]);
  });
});

describe("a quarantine during a rollout", () => {
  it("gives all nodes a new number, whatever is rolled out", () => {
    const change = {
      revision: 1,
      kind: "quarantine",
      id: "q",
      operation: "create",
      before: null,
      after: null,
    } as const;
    const commit = { revision: 1, publication: 1, changes: [{ ...change, atUnixMs: 0 }] };
    expect(ledgerCommit(commit)).toMatchObject({ hasContent: false, hasLive: true });
  });
});
