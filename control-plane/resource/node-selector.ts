import type { Problem } from "./checked.ts";
import { checkTexts, invalid } from "./problems.ts";
import type { TextRule } from "./text-rules.ts";

export type NodeLabels = Readonly<Record<string, string>>;

/** What a node has that nobody vouches for. */
export const noLabels: NodeLabels = {};

/** One part of a selector, such as "zone=eu". */
type Term =
  | { readonly type: "is" | "is not"; readonly key: string; readonly value: string }
  | { readonly type: "has" | "has not"; readonly key: string };

/** Names and values as labels may have them. */
const termPattern = /^(?:(!?)([A-Za-z0-9._/-]{1,63})|([A-Za-z0-9._/-]{1,63})(!?=)(.{0,255}))$/s;

const checkTerm: TextRule = (text) =>
  termPattern.test(text)
    ? null
    : `invalid term '${text}': expected key=value, key!=value, key or !key, with a key of at most 63 letters, digits, '.', '_', '/' or '-'`;

/** Everything that is wrong with a selector: terms that are none, and those with which it matches no node at all. */
export function checkNodeSelector(selector: readonly string[]): readonly Problem[] {
  const problems = checkTexts("node_selector", selector, checkTerm);
  return problems.length > 0 ? problems : contradictions(selector);
}

/**
 * Says of labels whether a selector matches them: every term must hold, but of several "key=value" with one key one is
 * enough. An empty one matches every node. What is not valid matches none.
 */
export function nodeMatcher(selector: readonly string[]): (labels: NodeLabels) => boolean {
  const terms = selector.map(readTerm);
  const valuesOfKey = new Map<string, Set<string>>();
  for (const term of terms) {
    if (term?.type === "is") valuesOfKey.set(term.key, (valuesOfKey.get(term.key) ?? new Set()).add(term.value));
  }
  return (labels) =>
    terms.every((term) => {
      if (term === null) return false;
      const value = Object.hasOwn(labels, term.key) ? labels[term.key]! : null;
      if (term.type === "has not") return value === null;
      if (term.type === "is not") return value !== term.value;
      if (term.type === "has") return value !== null;
      return value !== null && valuesOfKey.get(term.key)!.has(value);
    });
}

/** One text for all selectors with the same terms. */
export function selectorText(selector: readonly string[]): string {
  return selector.length === 0 ? "" : JSON.stringify([...new Set(selector)].sort());
}

function readTerm(text: string): Term | null {
  const read = termPattern.exec(text);
  if (read === null) return null;
  const [, not, name, key, operator, value] = read;
  if (name !== undefined) return { type: not === "!" ? "has not" : "has", key: name };
  return { type: operator === "=" ? "is" : "is not", key: key!, value: value! };
}

/** Terms that leave no value for their key, given those before them. */
function contradictions(selector: readonly string[]): readonly Problem[] {
  const problems: Problem[] = [];
  const terms = selector.map((text) => readTerm(text)!);
  for (const [i, term] of terms.entries()) {
    const before = terms.slice(0, i).filter(({ key }) => key === term.key);
    const canMatch = (all: readonly Term[]) => {
      const isWanted = all.some(({ type }) => type === "is" || type === "has");
      if (all.some(({ type }) => type === "has not")) return !isWanted;
      const values = all.flatMap((one) => (one.type === "is" ? [one.value] : []));
      const refused = new Set(all.flatMap((one) => (one.type === "is not" ? [one.value] : [])));
      return values.length === 0 || values.some((value) => !refused.has(value));
    };
    if (canMatch(before) && !canMatch([...before, term]))
      problems.push(invalid(`node_selector.${i}`, "no node can match this and the terms before it"));
  }
  return problems;
}
