import { parseHostsFile } from "./hosts-file.ts";
import type { AddressFamilies, LookupAnswer, LookupKind } from "./lookup-name.ts";
import type { NameResolverLimits } from "./name-resolver-options.ts";
import type { AddressFamily, FamilyRace } from "./race-families.ts";
import { NameResolver } from "./resolve-name.ts";
import { FakeTimers } from "./timers.test-fake.ts";

const isV6 = (address: string) => address.includes(":");
export function found(addresses: readonly string[], ttlSeconds = 60): LookupAnswer {
  const v4 = addresses.filter((address) => !isV6(address));
  return { type: "addresses", v4, v6: addresses.filter(isV6), ttlMs: ttlSeconds * 1_000 };
}
export function services(
  records: readonly [target: string, port: number, weight: number][],
  ttlSeconds = 60,
): LookupAnswer {
  return {
    type: "services",
    records: records.map(([target, port, weight]) => ({ target, port, weight })),
    ttlMs: ttlSeconds * 1_000,
  };
}
export const notFound: LookupAnswer = { type: "not_found", reason: "no such name", ttlMs: null };
export const failed: LookupAnswer = { type: "failed", message: "timeout" };

interface Given {
  readonly limits?: Partial<NameResolverLimits>;
  readonly families?: AddressFamilies;
  readonly everyNameMayBeService?: boolean;
}

/** A resolver whose DNS is a table that the test fills, and whose hosts file is a text that it changes. */
export function rig(answers: Record<string, LookupAnswer> = {}, given: Given = {}) {
  const timers = new FakeTimers();
  const asked: string[] = [];
  const kinds: LookupKind[] = [];
  const races: FamilyRace[] = [];
  const changes: string[] = [];
  const problems: string[] = [];
  const rigged = {
    ...{ answers, timers, asked, kinds, races, changes, problems, hostsText: "" },
    hold: null as Promise<void> | null,
    winner: null as AddressFamily | null,
    raceEnd: null as Promise<void> | null,
  };
  const resolver = new NameResolver({
    lookup: async (name, kind) => {
      asked.push(name);
      kinds.push(kind);
      const answer = rigged.answers[name] ?? notFound;
      await rigged.hold;
      return answer;
    },
    hosts: { addressesOf: (name) => parseHostsFile(rigged.hostsText).addressesOf(name) },
    families: given.families ?? "fastest",
    race: async (race) => {
      races.push(race);
      await rigged.raceEnd;
      return rigged.winner;
    },
    ...(given.everyNameMayBeService === undefined ? {} : { everyNameMayBeService: given.everyNameMayBeService }),
    timers,
    random: () => 0,
    onChange: (name) => changes.push(name),
    onProblem: ({ name, problem, isNew }) => problems.push(`${isNew ? "" : "again, "}${name}: ${problem}`),
    limits: given.limits ?? {},
  });
  const keepNames = (names: readonly string[]) => resolver.keep(names.map((host) => ({ host, port: 80 })));
  const addressesOf = (name: string) => resolver.endpointsOf(name).map(({ address }) => address);
  return Object.assign(rigged, { resolver: Object.assign(resolver, { keepNames, addressesOf }) });
}
