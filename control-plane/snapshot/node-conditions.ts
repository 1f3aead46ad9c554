import { type NodeLabels, nodeMatcher, selectorText } from "../resource/node-selector.ts";

/** A set of selectors that all have to match. */
export type ConjunctionId = number;
/** A set of conjunctions of which one has to match. */
export type ConditionId = number;

/** Matches every node. */
export const NO_SELECTOR: ConjunctionId = 0;
export const NOWHERE: ConditionId = 0;
export const EVERYWHERE: ConditionId = 1;

/** Equal lists as one number. */
class NumberedLists {
  readonly #lists: (readonly number[])[] = [];
  readonly #numberOf = new Map<string, number>();

  get size(): number {
    return this.#lists.length;
  }

  numberOf(members: Iterable<number>): number {
    const list = [...new Set(members)].sort((left, right) => left - right);
    const text = list.join();
    const known = this.#numberOf.get(text);
    if (known !== undefined) return known;
    this.#numberOf.set(text, this.#lists.length);
    return this.#lists.push(list) - 1;
  }

  list(number: number): readonly number[] {
    return this.#lists[number]!;
  }
}

/**
 * What may be asked of a node's labels: selectors, and what becomes of them where resources refer to each other. Each
 * distinct one is a number, so that whether it matches has to be worked out once for all resources that have it.
 */
export class NodeConditions {
  readonly #selectors: ((labels: NodeLabels) => boolean)[] = [];
  readonly #selectorNumbers = new Map<string, number>();
  readonly #conjunctions = new NumberedLists();
  readonly #conditions = new NumberedLists();

  constructor() {
    this.#conjunctions.numberOf([]);
    this.#conditions.numberOf([]);
    this.#conditions.numberOf([NO_SELECTOR]);
  }

  /** How many there are; none is forgotten. */
  get size(): number {
    return this.#selectors.length + this.#conjunctions.size + this.#conditions.size;
  }

  /** null for the empty one, which asks nothing. */
  selectorNumber(selector: readonly string[]): number | null {
    if (selector.length === 0) return null;
    const text = selectorText(selector);
    const known = this.#selectorNumbers.get(text);
    if (known !== undefined) return known;
    this.#selectorNumbers.set(text, this.#selectors.length);
    return this.#selectors.push(nodeMatcher(selector)) - 1;
  }

  /** Whether a selector matches labels. @param number the selector's */
  matches(number: number, labels: NodeLabels): boolean {
    return this.#selectors[number]!(labels);
  }

  /** What a selector asks beside what is asked already. */
  allOf(selector: readonly string[], beside: ConjunctionId): ConjunctionId {
    const number = this.selectorNumber(selector);
    return number === null ? beside : this.#conjunctions.numberOf([number, ...this.#conjunctions.list(beside)]);
  }

  both(left: ConjunctionId, right: ConjunctionId): ConjunctionId {
    if (left === right || right === NO_SELECTOR) return left;
    if (left === NO_SELECTOR) return right;
    return this.#conjunctions.numberOf([...this.#conjunctions.list(left), ...this.#conjunctions.list(right)]);
  }

  anyOf(alternatives: Iterable<ConjunctionId>): ConditionId {
    const distinct = new Set(alternatives);
    return distinct.has(NO_SELECTOR) ? EVERYWHERE : this.#conditions.numberOf(distinct);
  }

  alternatives(condition: ConditionId): readonly ConjunctionId[] {
    return this.#conditions.list(condition);
  }

  /** The numbers of the selectors of a conjunction. */
  selectorsOf(conjunction: ConjunctionId): readonly number[] {
    return this.#conjunctions.list(conjunction);
  }
}

/** Which conditions the labels of one node meet; each is worked out once. */
export class LabelMatcher {
  readonly #conditions: NodeConditions;
  readonly #labels: NodeLabels;
  readonly #bySelector: boolean[] = [];
  readonly #byCondition: boolean[] = [];

  constructor(conditions: NodeConditions, labels: NodeLabels) {
    this.#conditions = conditions;
    this.#labels = labels;
  }

  meets(condition: ConditionId): boolean {
    const known = this.#byCondition[condition];
    if (known !== undefined) return known;
    const alternatives = this.#conditions.alternatives(condition);
    const meets = alternatives.some((conjunction) =>
      this.#conditions.selectorsOf(conjunction).every((selector) => this.matches(selector)),
    );
    this.#byCondition[condition] = meets;
    return meets;
  }

  /** @param selector its number */
  matches(selector: number): boolean {
    this.#bySelector[selector] ??= this.#conditions.matches(selector, this.#labels);
    return this.#bySelector[selector]!;
  }
}
