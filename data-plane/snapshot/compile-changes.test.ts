import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { Algorithm } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { FakeEndpointState } from "../balance/endpoint-state.test-fake.ts";
import { ConfigDecoder, type EncodedConfig } from "../config/encoded-config.ts";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { untilDone } from "../steps/until-done.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import {
  caCertificate,
  certificate,
  healthOverride,
  readPlan,
  route,
  service,
  sni,
  target,
  ticketKey,
  trial,
  upstream,
} from "./compile-snapshot.test-entities.ts";
import { SnapshotCompiler, type SnapshotPlan } from "./compile-snapshot.ts";
import { ConfigBook } from "./config-book.ts";
import { SnapshotHolder } from "./snapshot-holder.ts";

const authorities = await Promise.all([makeAuthority("One"), makeAuthority("Two")]);
const made = await Promise.all([makeCertificate({ names: ["a.test"] }), makeCertificate({ names: ["b.test"] })]);
const limits = {
  ...{ routesMax: 5, servicesMax: 4, upstreamsMax: 3, targetsMax: 5, targetsPerUpstreamMax: 3 },
  ...{ certificatesMax: 2, serverNamesMax: 20 },
};

const idOf = (prefix: string, count: number) => fc.nat(count - 1).map((i) => `${prefix}${i}`);
const refOf = (prefix: string, count: number) => idOf(prefix, count).map((id) => ({ id }));
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const names = fc.constantFrom("one", "two", "three", "four");
/** What is refused comes seldom: else nothing would ever be changed. */
const seldom = <T>(usual: readonly T[], odd: T) =>
  fc.nat(30).chain((odds) => (odds === 0 ? fc.constant(odd) : fc.constantFrom(...usual)));

/** Few ids and names, so that much is changed together with what it refers to, and something is refused now and then. */
const entityArbitrary: fc.Arbitrary<SnapshotEntity> = fc.oneof(
  fc
    .record({ id: idOf("a", 2), which: seldom([0, 1], 2) })
    .map(({ id, which }) => caCertificate({ id, cert: authorities[which]?.certPem ?? "none" })),
  fc.record({ id: idOf("c", 2), which: fc.nat(1), asked: maybe(idOf("a", 2)) }).map(({ id, which, asked }) => {
    const clientAuthentication = asked === undefined ? undefined : { caCertificates: [asked] };
    return certificate({ id, cert: made[which]!.chainPem, key: made[which]!.keyPem, clientAuthentication });
  }),
  fc.record({ id: idOf("n", 3), name: names, certificate: refOf("c", 2) }).map(sni),
  fc.nat(1).map((fill) => ticketKey({ id: "k0", key: Buffer.alloc(48, fill) })),
  fc
    .record({
      ...{ id: idOf("u", 3), name: names, clientCertificate: maybe(refOf("c", 2)) },
      algorithm: fc.constantFrom(Algorithm.ROUND_ROBIN, Algorithm.STICKY_SESSIONS),
      slots: seldom([100, 200], 1),
    })
    .map(upstream),
  fc
    .record({ ...{ id: idOf("t", 5), upstream: refOf("u", 3) }, port: fc.nat(3), weight: seldom([0, 1], 70_000) })
    .map(({ port, ...rest }) => target({ ...rest, target: `10.0.0.${port}:80` })),
  fc.record({ id: idOf("h", 3), target: refOf("t", 5), healthy: fc.boolean() }).map(healthOverride),
  fc
    .record({
      ...{ id: idOf("s", 4), host: names, port: seldom([80, 81], 70_000), enabled: fc.boolean() },
      protocol: fc.constantFrom(Protocol.HTTP, Protocol.HTTPS),
      clientCertificate: maybe(refOf("c", 2)),
      caCertificates: fc.array(idOf("a", 2), { maxLength: 1 }),
    })
    .map(service),
  fc
    .record({
      ...{ id: idOf("r", 5), service: maybe(refOf("s", 4)) },
      paths: seldom<string[]>([["/a"], ["/a", "~/b\\d"]], ["x"]),
      hosts: fc.constantFrom<string[]>([], ["a.test"], ["*.test", "b.test"]),
    })
    .map(route),
  // One more than there may be.
  fc.constant(route({ id: "r9", paths: ["/"] })),
);

/** Something of everything, and all that can be referred to. */
const firstContent: readonly SnapshotEntity[] = [
  ...authorities.map(({ certPem }, i) => caCertificate({ id: `a${i}`, cert: certPem })),
  ...made.map(({ chainPem, keyPem }, i) => {
    return certificate({
      id: `c${i}`,
      cert: chainPem,
      key: keyPem,
      clientAuthentication: { caCertificates: [`a${i}`] },
    });
  }),
  ...["one", "two"].map((name, i) => sni({ id: `n${i}`, name, certificate: { id: `c${i}` } })),
  upstream({ id: "u0", name: "one", clientCertificate: { id: "c0" } }),
  upstream({ id: "u1", name: "two" }),
  ...[0, 0, 1, 1].map((i, n) =>
    target({ id: `t${n}`, upstream: { id: `u${i}` }, target: `10.0.1.${n}:80`, weight: n }),
  ),
  healthOverride({ id: "h0", target: { id: "t0" }, healthy: false }),
  ...["one", "two", "three"].map((host, i) => {
    const protocol = i === 1 ? Protocol.HTTP : Protocol.HTTPS;
    return service({ id: `s${i}`, host, protocol, caCertificates: [`a${i % 2}`], enabled: i > 0 });
  }),
  ...[0, 1, 2, 2].map((i, n) => route({ id: `r${n}`, service: { id: `s${i}` }, paths: [`/${n}`] })),
];

/** What is put in place of what is there under its id, or taken out; odds are for what can be served. */
const editArbitrary = fc.record({ entity: entityArbitrary, isDeleted: fc.nat(5).map((odds) => odds === 0) });
const roundArbitrary = fc.record({
  edits: fc.array(editArbitrary, { minLength: 1, maxLength: 4 }),
  isUndone: fc.nat(5).map((odds) => odds === 0),
});

const keyOf = ({ kind, id }: SnapshotEntity) => `${kind} ${id}`;

/** A plan without its slots: what refers to what, by names. */
function withoutSlots(plan: SnapshotPlan) {
  const { publication: _p, revision: _r, routes, services, ...rest } = readPlan(plan);
  const pools = new Map(plan.pools.map((pool) => [pool.slot, pool.plan]));
  const decoder = new ConfigDecoder();
  const serviceIds = new Map(
    plan.content.services.pages.flatMap((page) => decoder.page(page).services!).map(([slot, one]) => [slot, one!.id]),
  );
  return {
    ...rest,
    pools: rest.pools.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    services: byId(services.map(({ poolIndex, ...one }) => ({ ...one, pool: pools.get(poolIndex)!.key }))),
    routes: byId(
      routes.map(({ serviceIndex, ...one }) => ({ ...one, service: serviceIds.get(serviceIndex) ?? serviceIndex })),
    ),
  };
}

function byId<T extends { readonly id: string }>(list: T[]): T[] {
  return list.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** One worker: what it serves, without slots. */
class Worker {
  readonly holder = new SnapshotHolder(new FakeEndpointState(), 1);
  readonly #decoder = new ConfigDecoder();

  take(config: EncodedConfig): void {
    const sent = structuredClone(config);
    const tls = untilDone(this.#decoder.tlsSteps(sent));
    const { publication, revision, isWhole } = sent;
    const head = { publication, revision, isWhole, tls };
    untilDone(untilDone(this.holder.applySteps(head, this.#decoder.pagesOf(sent))));
  }

  get served() {
    const { routes, services, pools, tlsKeys, serverNames, publication } = this.holder.current!;
    const poolKey = (index: number) => pools[index]!.config.key;
    return {
      publication,
      routes: byId(
        routes.routes.flatMap((one) => {
          if (one === null) return [];
          const { serviceIndex, ...rest } = one;
          return { ...rest, service: services[serviceIndex]?.id ?? serviceIndex };
        }),
      ),
      services: byId(
        services.flatMap((one) => (one === null ? [] : [{ ...one, poolIndex: -1, pool: poolKey(one.poolIndex) }])),
      ),
      pools: pools
        .flatMap((pool) =>
          pool === null
            ? []
            : [{ config: pool.config, set: pool.set, isLimited: pool.isLimited, hasOneTls: pool.hasOneTls }],
        )
        .toSorted((a, b) => (a.config.key < b.config.key ? -1 : 1)),
      tlsKeys: [...tlsKeys].sort(),
      names: ["one", "two", "three", "four"].map((name) => serverNames.pick(name)?.key ?? null),
    };
  }
}

/** Rows and endpoints by the key alone: what every book comes to, whatever it was before. */
const places = {
  poolRow: (key: string): number => key.length,
  setOf: (key: string): EndpointSet => testSet([testEndpoint({ port: key.length })], { poolKey: key }),
  preparedSetOf: (key: string): EndpointSet => places.setOf(key),
};

function wholeOf(entities: readonly SnapshotEntity[], publication: number) {
  const outcome = untilDone(new SnapshotCompiler(limits, trial).steps({ publication, revision: 1, entities }));
  if (!outcome.ok) return outcome;
  const book = new ConfigBook(places);
  untilDone(book.prepareSteps(outcome.plan));
  book.install();
  const worker = new Worker();
  worker.take(book.whole().whole());
  return { ok: true as const, plan: withoutSlots(outcome.plan), served: worker.served };
}

/** Of several that want one name, a change blames the one that came to want it; the whole, the last one. */
const isConflict = (message: string) => /^another|^there is another/.test(message);

describe("SnapshotCompiler", () => {
  it("compiles of any change what would be compiled of the whole, and refuses what would be refused", () => {
    let [accepted, refused] = [0, 0];
    fc.assert(
      fc.property(fc.array(roundArbitrary, { minLength: 2, maxLength: 12 }), (rounds) => {
        const compiler = new SnapshotCompiler(limits, trial);
        const book = new ConfigBook(places);
        const worker = new Worker();
        let good: readonly SnapshotEntity[] = [];
        let isFirst = true;
        for (const [i, { edits, isUndone }] of rounds.entries()) {
          const content = new Map((isFirst ? firstContent : good).map((entity) => [keyOf(entity), entity]));
          for (const { entity, isDeleted } of isFirst ? [] : edits) {
            if (isDeleted) content.delete(keyOf(entity));
            else content.set(keyOf(entity), entity);
          }
          const entities = [...content.values()];
          const want = wholeOf(entities, i + 1);
          const got = untilDone(compiler.steps({ publication: i + 1, revision: 1, entities }));
          expect(got.ok).toBe(want.ok);
          if (!got.ok || !want.ok) {
            refused++;
            if (got.ok || want.ok) continue;
            const messages = [got.refusal.message, want.refusal.message];
            if (!messages.some(isConflict)) expect(got).toEqual(want);
            continue;
          }
          accepted++;
          expect(withoutSlots(got.plan)).toEqual(want.plan);
          expect(got.plan.before).toEqual(good.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)));
          untilDone(book.prepareSteps(got.plan));
          book.install();
          const before = isFirst ? null : worker.served;
          const { change, whole } = book.update(got.plan);
          worker.take(isFirst ? whole() : change!);
          expect(worker.served).toEqual(want.served);
          if (!isUndone) {
            compiler.commit();
            book.commit();
            good = entities;
            isFirst = false;
            continue;
          }
          compiler.rollBack();
          book.rollBack();
          if (before === null) continue;
          worker.take(book.whole().whole());
          expect(worker.served).toEqual(before);
        }
      }),
      { numRuns: 300 },
    );
    // It would say nothing if one of the two never came.
    expect(Math.min(accepted, refused)).toBeGreaterThan(150);
  });
});
