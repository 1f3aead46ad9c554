import type { ConjunctionId } from "./node-conditions.ts";

/** Who refers to one thing, and where those are who do. */
interface Demand {
  referrerCount: number;
  readonly alternatives: Map<ConjunctionId, number>;
}

const none: Demand = { referrerCount: 0, alternatives: new Map() };

/** Where things are needed, by their names: kept up to date referrer by referrer, however many there are. */
export class ReferenceDemand {
  readonly #byName = new Map<string, Demand>();

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  isWanted(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Where those are who refer to it. */
  alternatives(name: string): Iterable<ConjunctionId> {
    return (this.#byName.get(name) ?? none).alternatives.keys();
  }

  /** Counts a referrer that is where one of the alternatives says; tells whether that changes where it is needed. */
  give(name: string, alternatives: readonly ConjunctionId[]): boolean {
    let demand = this.#byName.get(name);
    let isNews = demand === undefined;
    if (demand === undefined) {
      demand = { referrerCount: 0, alternatives: new Map() };
      this.#byName.set(name, demand);
    }
    demand.referrerCount++;
    for (const alternative of alternatives) {
      const count = demand.alternatives.get(alternative) ?? 0;
      demand.alternatives.set(alternative, count + 1);
      isNews ||= count === 0;
    }
    return isNews;
  }

  /** Takes back what was given. */
  withdraw(name: string, alternatives: readonly ConjunctionId[]): boolean {
    const demand = this.#byName.get(name)!;
    let isNews = false;
    for (const alternative of alternatives) {
      const count = demand.alternatives.get(alternative)!;
      if (count > 1) demand.alternatives.set(alternative, count - 1);
      else demand.alternatives.delete(alternative);
      isNews ||= count === 1;
    }
    demand.referrerCount--;
    if (demand.referrerCount > 0) return isNews;
    this.#byName.delete(name);
    return true;
  }
}
