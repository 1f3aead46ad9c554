import { describe, expect, it } from "vitest";
import { isSameHash, stateHashOf } from "../../proto/state-hash.ts";
import { seededRandom } from "../../test/simulation/simulated-time.ts";
import { anyResource, anyUnreferenced, type Random, resourceOf } from "../../test/support/subset-edits.ts";
import type { StoredKind } from "../resource/checked.ts";
import { type NodeLabels, nodeMatcher } from "../resource/node-selector.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { findDanglingReferences, isOfKind, SNAPSHOT_KINDS } from "./build-snapshot.ts";
import type { PublishedImage } from "./channel.ts";
import { canBeSameName, serverNamesOf } from "./server-name-patterns.ts";
import { SnapshotCache } from "./snapshot-cache.ts";
import { SubsetIndex } from "./subset-index.ts";
import { SubsetView } from "./subset-view.ts";

const epoch = { counter: 1, id: Buffer.alloc(16) };
const fleet: readonly NodeLabels[] = [
  {},
  { zone: "eu" },
  { zone: "us" },
  { zone: "ap" },
  { zone: "eu", tier: "edge" },
  { tier: "edge" },
];

class EditedSource {
  readonly epoch = epoch;
  readonly resources = new Map<string, StoredResource>();
  readonly image: PublishedImage = this as never;
  publication = 1;

  constructor(...resources: StoredResource[]) {
    for (const resource of resources) this.put(resource);
  }

  get revision() {
    return this.publication + 100;
  }

  get(kind: StoredKind, id: string) {
    return this.resources.get(`${kind}/${id}`);
  }

  all(kind: StoredKind) {
    return [...this.resources.values()].filter((resource) => resource.kind === kind);
  }

  put(resource: StoredResource): void {
    this.resources.set(`${resource.kind}/${resource.id}`, resource);
    this.publication++;
  }

  remove({ kind, id }: Pick<StoredResource, "kind" | "id">): void {
    this.resources.delete(`${kind}/${id}`);
    this.publication++;
  }

  edit(random: Random): void {
    if (random() < 0.3) {
      const gone = anyUnreferenced(random, this.resources);
      if (gone !== null) this.remove(gone);
      return;
    }
    const written = anyResource(random, this.resources);
    if (written !== null) this.put(written);
  }
}

function contentOf(image: Pick<PublishedImage, "all">): StoredResource[] {
  return SNAPSHOT_KINDS.flatMap((kind) => [...image.all(kind)]);
}

const names = (resources: Iterable<StoredResource>) => [...resources].map(({ kind, id }) => `${kind} ${id}`).sort();

/** The rules of docs/subsets.md, asked one by one of everything that there is. */
function subsetByTheRules(source: EditedSource, labels: NodeLabels): string[] {
  const all = <K extends StoredKind>(kind: K) => source.all(kind) as unknown as StoredResource<K>[];
  const everything = contentOf(source.image);
  const selectorOf = (one: StoredResource) => (one.message as { nodeSelector?: string[] }).nodeSelector ?? [];
  if (everything.every((one) => selectorOf(one).length === 0)) return names(everything);
  const isMatch = (one: StoredResource) => nodeMatcher(selectorOf(one))(labels);
  const upstreamOf = ({ message }: StoredResource<"service">) =>
    all("upstream").find((upstream) => upstream.message.name === message.host);
  const mayBe = (one: StoredResource): boolean => {
    if (isOfKind(one, "upstream")) return isMatch(one);
    const next = isOfKind(one, "service")
      ? upstreamOf(one)
      : all("service").find(({ id }) => id === (one as StoredResource<"route">).message.service?.id);
    return isMatch(one) && (next === undefined || mayBe(next));
  };
  const routes = all("route").filter(mayBe);
  const isNeeded = (
    one: StoredResource<"service" | "upstream">,
    referrers: StoredResource[],
    there: StoredResource[],
  ) => (referrers.length > 0 ? referrers.some((each) => there.includes(each)) : !one.message.clientCertificate);
  const services = all("service").filter((one) => {
    const referrers = all("route").filter(({ message }) => message.service?.id === one.id);
    return mayBe(one) && isNeeded(one, referrers, routes);
  });
  const upstreams = all("upstream").filter((one) => {
    const referrers = all("service").filter((service) => upstreamOf(service) === one);
    return mayBe(one) && isNeeded(one, referrers, services);
  });
  const certificates = all("certificate").filter(({ id }) => {
    const isShown = [...services, ...upstreams].some(({ message }) => message.clientCertificate?.id === id);
    const served = all("sni").filter(({ message }) => message.certificate?.id === id);
    const asked = routes.flatMap(({ message }) => serverNamesOf(message));
    return isShown || served.some(({ message }) => asked.some((name) => canBeSameName(name, message.name)));
  });
  const authorities = new Set([
    ...services.flatMap(({ message }) => message.caCertificates),
    ...certificates.flatMap(({ message }) => message.clientAuthentication?.caCertificates ?? []),
  ]);
  const ids = (resources: StoredResource[]) => new Set(resources.map(({ id }) => id));
  const targets = all("target").filter(({ message }) => ids(upstreams).has(message.upstream!.id));
  return names([
    ...[...routes, ...services, ...upstreams, ...certificates, ...targets],
    ...all("ca_certificate").filter(({ id }) => authorities.has(id)),
    ...all("sni").filter(({ message }) => ids(certificates).has(message.certificate!.id)),
    ...all("health_override").filter(({ message }) => ids(targets).has(message.target!.id)),
    ...all("ticket_key"),
  ]);
}

describe("SubsetIndex", () => {
  it("gives every node what the rules say, whole, whatever was edited before: as from scratch", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seededRandom(seed);
      const source = new EditedSource();
      const index = new SubsetIndex(source);
      const views = fleet.map((labels) => new SubsetView(epoch, index, labels));
      const caches = views.map((view) => new SnapshotCache(view, { publicationMaxCount: 5, changeMaxCount: 100 }));
      for (let step = 0; step < 40; step++) {
        const editCount = random() < 0.1 ? 20 : 1 + Math.floor(3 * random());
        for (let i = 0; i < editCount; i++) source.edit(random);
        index.update();
        const fresh = new SubsetIndex(source);
        fresh.update();
        for (const [i, view] of views.entries()) {
          const content = contentOf(view);
          const place = { seed, step, labels: fleet[i] };
          expect({ ...place, content: names(content) }).toEqual({
            ...place,
            content: subsetByTheRules(source, fleet[i]!),
          });
          expect(names(contentOf(new SubsetView(epoch, fresh, fleet[i]!)))).toEqual(names(content));
          expect(findDanglingReferences(content, view)).toEqual([]);
          // Some publish each time, some now and then: what they have missed comes together.
          if (random() < 0.3) continue;
          const newest = caches[i]!.newest();
          expect(newest.ok && isSameHash(newest.published.stateHash, stateHashOf(content))).toBe(true);
        }
        for (const [i, view] of views.entries())
          for (const [j, other] of views.entries())
            if (view.subset === other.subset && i < j) expect(names(contentOf(view))).toEqual(names(contentOf(other)));
      }
    }
  });

  it("gives everything to everybody as long as nothing has a selector", () => {
    const lone = [
      resourceOf("certificate", { id: "c" }),
      resourceOf("ca_certificate", { id: "a" }),
      resourceOf("upstream", { id: "u", name: "u", clientCertificate: { id: "c" } }),
    ];
    const source = new EditedSource(...lone);
    const index = new SubsetIndex(source);
    index.update();
    const view = new SubsetView(epoch, index, { zone: "eu" });
    expect(names(contentOf(view))).toEqual(names(lone));
    // From the first one on, keys are only where they are used.
    const route = resourceOf("route", { id: "r", nodeSelector: ["zone=us"] });
    source.put(route);
    index.update();
    expect(contentOf(view)).toEqual([]);
    source.remove(route);
    index.update();
    expect(names(contentOf(view))).toEqual(names(lone));
  });

  it("leaves everything where it is when the last of very many selectors go together", () => {
    const common = resourceOf("upstream", { id: "common", name: "common" });
    const source = new EditedSource(common);
    const index = new SubsetIndex(source);
    const view = new SubsetView(epoch, index, {});
    index.update();
    const routes = Array.from({ length: 5_000 }, (_, i) =>
      resourceOf("route", { id: `r${i}`, nodeSelector: [`r=${i}`] }),
    );
    for (const route of routes) source.put(route);
    index.update();
    for (const route of routes) source.remove(route);
    index.update();
    expect(names(contentOf(view))).toEqual(names([common]));
  });

  it("forgets selectors that nobody has any more, and goes on", () => {
    const source = new EditedSource(resourceOf("route", { id: "eu", nodeSelector: ["zone=eu"] }));
    const index = new SubsetIndex(source);
    const view = new SubsetView(epoch, index, { zone: "eu" });
    const cache = new SnapshotCache(view, { publicationMaxCount: 5, changeMaxCount: 100 });
    index.update();
    const first = index.conditions;
    for (let i = 0; i < 5_000; i++) {
      source.put(resourceOf("route", { id: "moving", nodeSelector: [`rack=${i}`] }));
      index.update();
      if (i % 50 === 0) cache.newest();
    }
    expect(index.conditions).not.toBe(first);
    expect(index.conditions.size).toBeLessThan(12_000);
    source.put(resourceOf("route", { id: "moving", nodeSelector: ["zone=eu"] }));
    index.update();
    const newest = cache.newest();
    expect(newest.ok && isSameHash(newest.published.stateHash, stateHashOf(source.all("route")))).toBe(true);
  });
});
