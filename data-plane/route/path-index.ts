import type { PathPattern } from "./path-pattern.ts";
import { meetsConditions, type RouteConditions } from "./route-conditions.ts";
import type { RouteInput, RouteMatch } from "./route-input.ts";

/** A match and its place in the order of all that could match: 0 wins over 1. */
export interface RankedMatch {
  readonly rank: number;
  readonly match: RouteMatch;
}

/** One path of a route, as it stands in the index. */
export interface Candidate extends RankedMatch {
  readonly conditions: RouteConditions;
  /** null: the prefix under which it is indexed is all it asks of the path. */
  readonly pattern: PathPattern | null;
}

/** The candidates of one prefix. */
interface PrefixEntry {
  /** Best rank first. */
  readonly candidates: Candidate[];
  /** The longest shorter prefix of this prefix that has candidates. */
  shorter: PrefixEntry | null;
  /** Best rank here and in all shorter ones: where the search may stop. */
  bestRank: number;
}

/** A node of the radix tree: stands for the first `end` characters of `text`. */
interface TreeNode {
  text: string;
  end: number;
  entry: PrefixEntry | null;
  /** By the character that follows, from `firstCode` on. */
  children: (TreeNode | null)[];
  firstCode: number;
}

/**
 * The paths of one host, as a radix tree of prefixes. A request walks down once along its path; then the
 * prefixes it met are looked through from the longest, until no better rank can follow. The longest prefix need
 * not win: a route that asks for more kinds of things goes first.
 *
 * Cost: grows with the length of the path and the number of nested prefixes, not with the number of routes.
 */
export class PathIndex {
  readonly #root: TreeNode = newNode("", 0);

  /** Call `link` after the last one. @param prefix what the path must begin with; "" = any path */
  add(prefix: string, candidate: Candidate): void {
    const node = this.#nodeFor(prefix);
    // With its first candidate: an empty list makes room for 17 at the first push, and most have one.
    if (node.entry === null) node.entry = { candidates: [candidate], shorter: null, bestRank: 0 };
    else node.entry.candidates.push(candidate);
  }

  /** Orders the candidates and ties each prefix to the next shorter one. */
  link(): void {
    const open: [TreeNode, PrefixEntry | null][] = [[this.#root, null]];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [{ entry, children }, shorter] = next;
      if (entry !== null) {
        entry.candidates.sort((a, b) => a.rank - b.rank);
        entry.shorter = shorter;
        entry.bestRank = Math.min(entry.candidates[0]!.rank, shorter?.bestRank ?? Number.POSITIVE_INFINITY);
      }
      for (const child of children) if (child !== null) open.push([child, entry ?? shorter]);
    }
  }

  /** The best match here that is better than `best`, or `best`. */
  search(input: RouteInput, best: RankedMatch | null): RankedMatch | null {
    let found = best;
    let entry = this.#longestPrefix(input.path);
    while (entry !== null && (found === null || entry.bestRank < found.rank)) {
      found = searchEntry(entry, input, found);
      entry = entry.shorter;
    }
    return found;
  }

  #longestPrefix(path: string): PrefixEntry | null {
    let node = this.#root;
    let entry = node.entry;
    let at = 0;
    while (at < path.length) {
      const slot = path.charCodeAt(at) - node.firstCode;
      if (slot < 0 || slot >= node.children.length) return entry;
      const child = node.children[slot]!;
      if (child === null || child.end > path.length) return entry;
      const { text, end } = child;
      for (at++; at < end; at++) if (path.charCodeAt(at) !== text.charCodeAt(at)) return entry;
      node = child;
      if (node.entry !== null) entry = node.entry;
    }
    return entry;
  }

  /** The node that stands for the prefix, made where it is missing. */
  #nodeFor(prefix: string): TreeNode {
    let node = this.#root;
    while (node.end < prefix.length) {
      const child = childOf(node, prefix.charCodeAt(node.end));
      if (child === null) {
        const leaf = newNode(prefix, prefix.length);
        setChild(node, leaf);
        return leaf;
      }
      node = sharesUpTo(child, prefix, node.end);
    }
    return node;
  }
}

function searchEntry(entry: PrefixEntry, input: RouteInput, best: RankedMatch | null): RankedMatch | null {
  for (let i = 0; i < entry.candidates.length; i++) {
    const candidate = entry.candidates[i]!;
    if (best !== null && candidate.rank > best.rank) return best;
    if (!meetsConditions(candidate.conditions, input)) continue;
    if (candidate.pattern === null) return candidate;
    const matchedChars = candidate.pattern.matchedChars(input.path);
    if (matchedChars !== -1) return { rank: candidate.rank, match: { ...candidate.match, matchedChars } };
  }
  return best;
}

/** `child` itself when the prefix runs through it, else a new node, in its place, for what both have in common. */
function sharesUpTo(child: TreeNode, prefix: string, from: number): TreeNode {
  let at = from;
  while (at < child.end && at < prefix.length && child.text.charCodeAt(at) === prefix.charCodeAt(at)) at++;
  if (at === child.end) return child;
  // The node keeps its identity for its parent and becomes the shorter one; what it was moves below it.
  const below: TreeNode = { ...child };
  child.end = at;
  child.entry = null;
  child.children = [];
  child.firstCode = 0;
  setChild(child, below);
  return child;
}

function newNode(text: string, end: number): TreeNode {
  return { text, end, entry: null, children: [], firstCode: 0 };
}

function childOf(node: TreeNode, code: number): TreeNode | null {
  return node.children[code - node.firstCode] ?? null;
}

/** Puts the child at the character that follows its parent, widening the parent's range to hold it. */
function setChild(parent: TreeNode, child: TreeNode): void {
  const code = child.text.charCodeAt(parent.end);
  if (parent.children.length === 0) parent.firstCode = code;
  while (code < parent.firstCode) {
    parent.children.unshift(null);
    parent.firstCode--;
  }
  while (code - parent.firstCode >= parent.children.length) parent.children.push(null);
  parent.children[code - parent.firstCode] = child;
}
