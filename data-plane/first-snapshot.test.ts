import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { StateHash } from "../proto/state-hash.ts";
import { beginFirst, newestOnly } from "./first-snapshot.ts";
import { readSeedPlace, type SeedPlace, seedName } from "./seed.ts";
import type { ApplyOutcome, ReceivedSnapshot } from "./snapshot/apply-snapshot.ts";
import { HeldContent } from "./snapshot/held-content.ts";
import type { AppliedSnapshot } from "./snapshot/snapshot-applier.ts";
import { encodeSnapshotBytes } from "./snapshot/snapshot-bytes.ts";
import type { LoadedSnapshot } from "./snapshot/snapshot-file.ts";
import { refusalOf } from "./sync/snapshot-assembler.ts";

/** A snapshot of one entity, which says its publication. */
function snapshotOf(publication: number, epochCounter = 1): ReceivedSnapshot {
  const entity = { kind: "service", id: `s${publication}`, body: new Uint8Array([publication]) };
  const hash = new StateHash();
  hash.set(entity);
  const epoch = { counter: epochCounter, id: new Uint8Array(16).fill(epochCounter) };
  return { epoch, publication, revision: publication, stateHash: hash.digest(), entities: [entity] };
}

function contentOf({ entities }: ReceivedSnapshot): HeldContent {
  const hash = new StateHash();
  for (const entity of entities) hash.set(entity);
  return HeldContent.of(entities, hash);
}

const bytesOf = (snapshot: ReceivedSnapshot) => Buffer.concat([...encodeSnapshotBytes(snapshot)]);

/** An applier that serves all but some publications. */
class FakeApplier {
  served: AppliedSnapshot | null = null;
  readonly applied: number[] = [];
  readonly #refused: ReadonlySet<number>;
  readonly #deadly: ReadonlySet<number>;

  constructor(refused: readonly number[] = [], deadly: readonly number[] = []) {
    this.#refused = new Set(refused);
    this.#deadly = new Set(deadly);
  }

  readonly apply = async (snapshot: ReceivedSnapshot): Promise<ApplyOutcome> => {
    this.applied.push(snapshot.revision);
    if (this.#refused.has(snapshot.revision)) {
      const refusal = {
        reason: "invalid_entity",
        entityKind: "",
        entityId: "",
        entityName: "",
        field: "",
        message: "no",
      };
      return { ok: false, refusal };
    }
    this.served = snapshot;
    return { ok: true };
  };

  begin(snapshot: ReceivedSnapshot) {
    const outcome = this.apply(snapshot);
    if (!this.#deadly.has(snapshot.revision)) return { isUnderWay: outcome.then(() => {}), outcome };
    const late = outcome.then(async (result) => {
      await new Promise((resolve) => setImmediate(resolve));
      return result;
    });
    return { isUnderWay: Promise.resolve(), outcome: late };
  }
}

function seedFile(bytes: Uint8Array): SeedPlace {
  const folder = mkdtempSync(join(tmpdir(), "penstock-seed-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "seed.snapshot");
  writeFileSync(path, bytes);
  return { type: "file", path };
}

interface Given {
  readonly kept?: ReceivedSnapshot | null;
  /** The generation before. */
  readonly before?: ReceivedSnapshot | null;
  readonly seed?: SeedPlace | null;
  readonly refused?: readonly number[];
  /** Processes were lost with them. */
  readonly unfit?: readonly number[];
  /** Refused when they are with the workers already. */
  readonly deadly?: readonly number[];
}

function loaded(snapshot: ReceivedSnapshot | null): LoadedSnapshot {
  return { snapshot, content: snapshot === null ? null : contentOf(snapshot), skipped: [] };
}

async function start(given: Given) {
  const applier = new FakeApplier([...(given.refused ?? []), ...(given.deadly ?? [])], given.deadly);
  const kept: number[] = [];
  const logged: string[] = [];
  const waits: number[] = [];
  const givenUp: number[] = [];
  const write = (entry: { problem?: string }, message: string) =>
    void logged.push(`${message} ${entry.problem ?? ""}`.trim());
  const first = await beginFirst({
    file: {
      load: async () => loaded(given.kept ?? null),
      loadBefore: async () => loaded(given.before ?? null),
      giveUp: async (publication) => {
        givenUp.push(publication);
        return { ok: true };
      },
    },
    unfit: ({ publication }) => (given.unfit?.includes(publication) ? refusalOf("process_lost", "lost") : null),
    seed: given.seed ?? null,
    applier,
    keep: ({ revision }) => kept.push(revision),
    timers: {
      nowMs: () => 0,
      after(delayMs, run) {
        waits.push(delayMs);
        const timer = setImmediate(run);
        return () => clearImmediate(timer);
      },
    },
    log: { info: write, warn: write, error: write } as never,
  });
  onTestFinished(() => first.close());
  return { applier, first, kept, logged, waits, givenUp };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe("beginFirst with a file", () => {
  it.each([
    { name: "nothing is kept", kept: null, seed: snapshotOf(5), want: 5 },
    { name: "what is kept is older", kept: snapshotOf(4), seed: snapshotOf(5), want: 5 },
    { name: "what is kept is newer", kept: snapshotOf(6), seed: snapshotOf(5), want: 6 },
    { name: "what is kept is the same", kept: snapshotOf(5), seed: snapshotOf(5), want: 5 },
    { name: "it is of an earlier store", kept: snapshotOf(4, 2), seed: snapshotOf(5), want: 4 },
    { name: "it is of a later store", kept: snapshotOf(6), seed: snapshotOf(5, 2), want: 5 },
  ])("serves publication $want where $name", async ({ kept, seed, want }) => {
    const { applier, first, kept: keptAgain } = await start({ kept, seed: seedFile(bytesOf(seed)) });
    expect(applier.applied).toEqual([want]);
    expect(first.held?.snapshot.revision).toBe(want);
    const isFromSeed = want === seed.publication && want !== kept?.publication;
    expect(first.held?.snapshot.publication).toBe(isFromSeed ? 0 : want);
    await until(() => keptAgain.length === (isFromSeed ? 1 : 0));
  });

  it.each([
    { name: "has a flipped bit", spoil: (bytes: Buffer) => bytes.fill(bytes[40]! ^ 1, 40, 41) },
    { name: "is cut short", spoil: (bytes: Buffer) => bytes.subarray(0, bytes.length - 3) },
    { name: "is something else", spoil: () => Buffer.from("<html>") },
  ])("uses none that $name", async ({ spoil }) => {
    const { applier, first, logged } = await start({ seed: seedFile(spoil(bytesOf(snapshotOf(5)))) });
    expect(applier.applied).toEqual([]);
    expect(first.held).toBeNull();
    expect(logged).toEqual([expect.stringMatching(/^the seed is not usable (its bytes|not a snapshot file)/)]);
  });

  it("goes on without one that is missing", async () => {
    const { applier, logged } = await start({ kept: snapshotOf(1), seed: { type: "file", path: "/nowhere/seed" } });
    expect(applier.applied).toEqual([1]);
    expect(logged).toEqual([expect.stringContaining("the seed is not usable ENOENT")]);
  });

  it("is replaced by whatever a control plane of its epoch has, and by nothing of an earlier one", async () => {
    const { applier, first } = await start({ seed: seedFile(bytesOf(snapshotOf(5, 2))) });
    expect(await first.apply(snapshotOf(9, 1))).toMatchObject({ ok: false, refusal: { reason: "stale_epoch" } });
    expect(await first.apply(snapshotOf(3, 2))).toEqual({ ok: true });
    expect(applier.applied).toEqual([5, 3]);
  });

  it("is left alone where what was kept came from it", async () => {
    const { applier, logged } = await start({
      kept: { ...snapshotOf(5), publication: 0 },
      seed: seedFile(bytesOf(snapshotOf(5))),
    });
    expect([applier.applied, logged]).toEqual([[5], [expect.stringContaining("the seed is not used")]]);
  });

  it("serves what was kept where the seed is refused", async () => {
    const { applier, first, kept } = await start({
      kept: snapshotOf(4),
      seed: seedFile(bytesOf(snapshotOf(5))),
      refused: [5],
    });
    expect(applier.applied).toEqual([5, 4]);
    expect(first.held?.snapshot.publication).toBe(4);
    expect(kept).toEqual([]);
  });
});

describe("beginFirst with two generations", () => {
  it.each([
    { name: "this program refuses the newest", refused: [5], deadly: [] },
    { name: "workers die of the newest", refused: [], deadly: [5] },
  ])("serves the one before where $name", async ({ refused, deadly }) => {
    const { applier, first } = await start({ kept: snapshotOf(5), before: snapshotOf(4), refused, deadly });
    // What a control plane has goes on from there.
    expect(await first.apply(snapshotOf(5))).toMatchObject({ ok: false });
    expect(applier.applied).toEqual([5, 4, 5]);
    expect(applier.served?.publication).toBe(4);
  });

  it("serves the newest where that can be, and nothing where none can", async () => {
    const [kept, before] = [snapshotOf(5), snapshotOf(4)];
    expect((await start({ kept, before })).applier.applied).toEqual([5]);
    const none = await start({ kept, before, refused: [4, 5] });
    expect([none.applier.served, none.logged]).toEqual([
      null,
      ["kept snapshot refused", "kept snapshot before it refused"],
    ]);
  });
});

describe("beginFirst after processes were lost", () => {
  const [kept, before] = [snapshotOf(5), snapshotOf(4)];

  it("serves the one before, and makes that what the next is gone back from", async () => {
    const { applier, first, logged, givenUp } = await start({ kept, before, unfit: [5] });
    expect([applier.applied, first.held?.snapshot.publication]).toEqual([[4], 4]);
    expect(logged).toEqual(["kept snapshot refused"]);
    await until(() => givenUp.length > 0);
    expect(givenUp).toEqual([5]);
  });

  it("keeps both generations where the newest is refused for something else", async () => {
    const { applier, givenUp } = await start({ kept, before, refused: [5] });
    await until(() => applier.served !== null);
    expect([applier.served?.publication, givenUp]).toEqual([4, []]);
  });

  it.each([
    { name: "there is nothing else", before: null, refused: [], unfit: [5], applied: [5] },
    { name: "processes were lost with both", before, refused: [], unfit: [4, 5], applied: [5] },
    { name: "the other one is refused", before, refused: [4], unfit: [5], applied: [4, 5] },
  ])("serves what they were lost with where $name", async ({ name: _, applied, ...given }) => {
    const { applier } = await start({ kept, ...given });
    expect(applier.applied).toEqual(applied);
    expect(applier.served?.publication).toBe(5);
  });

  it("prefers what was kept to such a seed", async () => {
    const { applier } = await start({ kept, unfit: [0], seed: seedFile(bytesOf(snapshotOf(6))) });
    expect(applier.applied).toEqual([5]);
  });
});

describe("beginFirst with a URL", () => {
  async function serve(answers: readonly (Buffer | number)[]) {
    const requests: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      const answer = answers[Math.min(requests.length, answers.length - 1)]!;
      requests.push(request);
      if (typeof answer === "number") response.writeHead(answer).end();
      else response.end(answer);
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://user:p%40ss@127.0.0.1:${(server.address() as AddressInfo).port}/seed?signature=secret`;
    return { requests, seed: { type: "url", url } as const };
  }

  it("asks again until it has one, and keeps that", async () => {
    const flipped = bytesOf(snapshotOf(5));
    flipped[40]! ^= 1;
    const { requests, seed } = await serve([503, flipped, bytesOf(snapshotOf(5))]);
    const { applier, kept, logged, waits } = await start({ seed });
    await until(() => kept.length === 1);
    expect([applier.served?.publication, applier.served?.revision]).toEqual([0, 5]);
    expect([kept, waits]).toEqual([[5], [1_000, 2_000]]);
    expect(logged).toEqual([
      "the seed is not usable it was answered with 503",
      expect.stringContaining("the seed is not usable its bytes"),
      "starts from the seed",
    ]);
    expect(requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from("user:p@ss").toString("base64")}`);
  });

  it("asks nobody where something was kept", async () => {
    const { requests, seed } = await serve([bytesOf(snapshotOf(5))]);
    const { applier, first } = await start({ kept: snapshotOf(4), seed });
    await first.apply(snapshotOf(4));
    expect([applier.applied, requests.length]).toEqual([[4], 0]);
  });

  it("asks no more once a control plane has brought something, and takes nothing older after it", async () => {
    const { seed } = await serve([404]);
    const { applier, first } = await start({ seed });
    expect(await first.apply(snapshotOf(6))).toEqual({ ok: true });
    expect(await first.apply(snapshotOf(5))).toMatchObject({ ok: false, refusal: { reason: "stale_publication" } });
    expect(applier.applied).toEqual([6]);
  });

  it("does not wait for the seed to begin", async () => {
    const { seed } = await serve([404]);
    expect((await start({ seed })).first.held).toBeNull();
  });
});

describe("newestOnly", () => {
  it("judges each by what is served when its turn comes", async () => {
    const applier = new FakeApplier([3]);
    const turn = Promise.withResolvers<void>();
    const apply = newestOnly(applier, turn.promise);
    const outcomes = [2, 3, 1, 2, 4].map((publication) => apply(snapshotOf(publication)));
    expect(applier.applied).toEqual([]);
    turn.resolve();
    const all = await Promise.all(outcomes);
    expect(all.map(({ ok }) => ok)).toEqual([true, false, false, true, true]);
    expect(applier.applied).toEqual([2, 3, 4]);
  });
});

describe("readSeedPlace", () => {
  it.each([
    { text: "/var/lib/seed", value: { type: "file", path: "/var/lib/seed" } },
    { text: "https://a.example/seed?x=1", value: { type: "url", url: "https://a.example/seed?x=1" } },
  ])("reads $text", ({ text, value }) => {
    expect(readSeedPlace(text)).toEqual({ ok: true, value });
  });

  it.each(["s3://bucket/seed", "https://", "http://[::1"])("refuses %s", (text) => {
    expect(readSeedPlace(text)).toMatchObject({ ok: false });
  });

  it("names no place in a log by what signs it", () => {
    expect(seedName({ type: "url", url: "https://u:p@a.example/seed?signature=s" })).toBe("https://a.example/seed");
  });
});
