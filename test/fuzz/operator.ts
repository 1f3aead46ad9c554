import type { SeededRandom } from "./seeded-random.ts";

/** One way to change a message. */
export interface Operator {
  readonly name: string;
  /** Whether enough of its mutants are legal that at least 30 % of them must be passed on. */
  readonly canStayLegal: boolean;
  /** Messages that it can do something to; default: all. */
  appliesTo?(text: string): boolean;
  /** @param others messages of the same kind, to take parts from */
  mutate(text: string, random: SeededRandom, others: readonly string[]): string;
}
