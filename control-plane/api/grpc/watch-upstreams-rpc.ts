import type { NodeViews } from "../../observation/node-views.ts";
import type { Checked } from "../../resource/checked.ts";
import { decodeResource } from "../../store/decode-resource.ts";
import type { StoredResource } from "../../store/resource-image.ts";
import type { Change, Store } from "../../store/store.ts";
import { type Clock, systemClock } from "../../sync/clock.ts";

export interface UpstreamSources<T> {
  readonly store: Pick<Store, "image" | "onCommit">;
  /** What is told of an upstream, by its id. */
  readonly read: (id: string) => Checked<T>;
  /** What says that there is something new of upstreams, by their ids. */
  readonly changes: readonly Pick<NodeViews, "onChange">[];
  /** Default: the real one. */
  readonly clock?: Pick<Clock, "monotonicMs" | "after">;
}

/** What there is of an upstream, whole; or that the upstream is gone. */
export type SeenUpstream<T> = { readonly upstream: T } | { readonly deletedId: string; readonly name: string };

/**
 * An upstream is told of at most once in each of these. They begin for all watchers at the same time: so all who watch
 * the same are told the same, which is worked out once.
 */
const intervalMs = 1_000;

/**
 * What is told of one upstream, or of all (null): what there is, then each of which something changes. What changes
 * meanwhile is told once, so that a slow watcher costs no more than the names of all upstreams. Ends with the signal's
 * reason.
 */
export async function* watchUpstreams<T extends { readonly name: string }>(
  { store, read, changes, clock = systemClock }: UpstreamSources<T>,
  id: string | null,
  signal: AbortSignal,
): AsyncGenerator<SeenUpstream<T>> {
  const due = new DueUpstreams(clock);
  /** Names of upstreams that were told of, to say at the end whose it was. */
  const names = new Map<string, string>();
  const mark = (changed: string) => {
    if (id !== null && changed !== id) return;
    // What a node names need not be there, and a slow watcher would keep all of it.
    if (names.has(changed) || store.image.get("upstream", changed) !== undefined) due.add(changed);
  };
  const stops = [
    ...changes.map((source) => source.onChange((upstreams) => upstreams.forEach(mark))),
    store.onCommit((commit) => {
      for (const change of commit.changes) for (const changed of upstreamsOf(change)) mark(changed);
    }),
  ];
  const onAbort = () => due.wake();
  signal.addEventListener("abort", onAbort);
  try {
    for (const upstream of id === null ? byName([...store.image.all("upstream")]) : [id]) due.add(upstream);
    while (true) {
      const next = await due.next(signal);
      const stored = store.image.get("upstream", next);
      const name = names.get(next);
      if (stored === undefined) {
        names.delete(next);
        due.forget(next);
        // One that came and went between two messages was never there to the watcher.
        if (name !== undefined) yield { deletedId: next, name };
        continue;
      }
      const told = read(next);
      if (!told.ok) continue;
      names.set(next, told.value.name);
      yield { upstream: told.value };
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener("abort", onAbort);
  }
}

function byName(upstreams: readonly StoredResource<"upstream">[]): string[] {
  return upstreams.toSorted((a, b) => (a.message.name < b.message.name ? -1 : 1)).map(({ id }) => id);
}

/** The upstreams of which a change of the configuration may change something. */
function upstreamsOf({ kind, id, before, after }: Change): readonly string[] {
  if (kind === "upstream") return [id];
  if (kind !== "target") return [];
  return [before, after].flatMap((body) => (body === null ? [] : (decodeResource("target", body).upstream?.id ?? [])));
}

/** Upstreams to tell of, each at most once in an interval, in the order in which they fell due. */
class DueUpstreams {
  readonly #clock: Pick<Clock, "monotonicMs" | "after">;
  readonly #waiting = new Set<string>();
  readonly #toldAtMs = new Map<string, number>();
  #wake = () => {};

  constructor(clock: Pick<Clock, "monotonicMs" | "after">) {
    this.#clock = clock;
  }

  add(id: string): void {
    this.#waiting.add(id);
    this.#wake();
  }

  wake(): void {
    this.#wake();
  }

  forget(id: string): void {
    this.#toldAtMs.delete(id);
  }

  /** The next one, as soon as there is one; rejects with the signal's reason. */
  async next(signal: AbortSignal): Promise<string> {
    while (true) {
      signal.throwIfAborted();
      const nowMs = this.#clock.monotonicMs();
      let soonestMs = Number.POSITIVE_INFINITY;
      for (const id of this.#waiting) {
        const dueAtMs = nextIntervalMs(this.#toldAtMs.get(id));
        if (dueAtMs <= nowMs) {
          this.#waiting.delete(id);
          this.#toldAtMs.set(id, nowMs);
          return id;
        }
        soonestMs = Math.min(soonestMs, dueAtMs);
      }
      await this.#woken(soonestMs - nowMs);
    }
  }

  /** @param delayMs after which it is woken in any case; infinite for never */
  #woken(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = Number.isFinite(delayMs) ? this.#clock.after(delayMs, () => this.#wake()) : () => {};
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function nextIntervalMs(toldAtMs = Number.NEGATIVE_INFINITY): number {
  return (Math.floor(toldAtMs / intervalMs) + 1) * intervalMs;
}
