import type { RouteConfig } from "../config/worker-config.ts";
import { meetsConditions, type RouteConditions } from "./route-conditions.ts";
import type { RouteInput, RouteMatch } from "./route-input.ts";

/** One path of a route, as it stands in the index: what a request that takes it has for a match. */
export interface Candidate extends RouteMatch {
  /** Its place in the order of all that could match. The smaller one wins; what equal ones are told by, `isBefore` says. */
  readonly rank: number;
  /** Of the path among those of its route. */
  readonly pathIndex: number;
  readonly conditions: RouteConditions;
}

/**
 * A node of the radix tree: stands for the first `end` characters of `text`. Its best candidate stands beside the list of
 * the others, since few have any: a list of one is two objects more, which with many routes are in no cache (bench W1r).
 */
interface TreeNode {
  readonly text: string;
  readonly end: number;
  /** null without any. */
  best: Candidate | null;
  /** Those behind it, best first. Never changed. */
  others: readonly Candidate[];
  /** By the character that follows, from `firstCode` on. */
  children: (TreeNode | null)[];
  firstCode: number;
  /** The edit that made it, and that alone may change it, until it is finished. */
  readonly edit: object;
}

/** Shared by all that have none: never changed. */
const noChildren: (TreeNode | null)[] = [];
const noOthers: readonly Candidate[] = [];
/** What a search met on its way down, and the best candidate up to there; used by one search at a time. */
const metNodes: TreeNode[] = [];
const metBest: Candidate[] = [];

/** Whether the first goes before the second. Equals of one rank: the oldest route, then the smallest id. */
function isBefore(a: Candidate, b: Candidate): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank;
  const [one, other] = [a.route, b.route];
  if (one === other) return a.pathIndex < b.pathIndex;
  if (one.createdAtMs !== other.createdAtMs) return one.createdAtMs < other.createdAtMs;
  return one.id < other.id;
}

/**
 * The paths of one host, as a radix tree of prefixes. A request walks down once along its path; then the
 * prefixes it met are looked through from the longest, until no better rank can follow. The longest prefix need
 * not win: a route that asks for more kinds of things goes first.
 *
 * Never changed: an edit makes another one, which shares with this one every node that it did not touch.
 *
 * Cost: grows with the length of the path and the number of nested prefixes, not with the number of routes.
 */
export class PathIndex {
  readonly #root: TreeNode;

  constructor(root: TreeNode = newNode("", 0, noChildren)) {
    this.#root = root;
  }

  /** The best match here that is better than `best`, or `best`. */
  search(input: RouteInput, best: Candidate | null): Candidate | null {
    let found = best;
    for (let i = this.#walkDown(input.path) - 1; i >= 0; i--) {
      if (found !== null && !isBefore(metBest[i]!, found)) return found;
      found = searchNode(metNodes[i]!, input, found);
    }
    return found;
  }

  /** Notes the nodes with candidates of all prefixes of a path. @returns how many there are */
  #walkDown(path: string): number {
    let node = this.#root;
    let count = node.best === null ? 0 : note(node, node.best, 0);
    let at = 0;
    while (at < path.length) {
      const slot = path.charCodeAt(at) - node.firstCode;
      if (slot < 0 || slot >= node.children.length) return count;
      const child = node.children[slot]!;
      if (child === null || child.end > path.length) return count;
      const { text, end } = child;
      for (at++; at < end; at++) if (path.charCodeAt(at) !== text.charCodeAt(at)) return count;
      node = child;
      if (node.best !== null) count = note(node, node.best, count);
    }
    return count;
  }

  edit(): PathIndexEdit {
    return new PathIndexEdit(this.#root);
  }
}

function note(node: TreeNode, best: Candidate, count: number): number {
  metNodes[count] = node;
  metBest[count] = count > 0 && isBefore(metBest[count - 1]!, best) ? metBest[count - 1]! : best;
  return count + 1;
}

function searchNode(node: TreeNode, input: RouteInput, best: Candidate | null): Candidate | null {
  const { others } = node;
  let candidate: Candidate = node.best!;
  for (let i = 0; ; candidate = others[i++]!) {
    if (best !== null && isBefore(best, candidate)) return best;
    if (meetsConditions(candidate.conditions, input)) {
      if (candidate.pattern === null) return candidate;
      const matchedChars = candidate.pattern.matchedChars(input.path);
      if (matchedChars !== -1) return { ...candidate, matchedChars };
    }
    if (i === others.length) return best;
  }
}

/** What becomes another index. The one that it began from stays as it is. */
export class PathIndexEdit {
  #root: TreeNode;

  constructor(root: TreeNode) {
    this.#root = this.#own(root);
  }

  get isEmpty(): boolean {
    return this.#root.best === null && this.#root.children.length === 0;
  }

  /** @param prefix what the path must begin with; "" = any path */
  add(prefix: string, candidate: Candidate): void {
    const node = this.#nodeFor(prefix);
    setCandidates(node, node.best === null ? [candidate] : withCandidate([node.best, ...node.others], candidate));
  }

  /** Takes out all of a route's candidates under a prefix. */
  remove(prefix: string, route: RouteConfig): void {
    const way: TreeNode[] = [this.#root];
    for (let node = this.#root; node.end < prefix.length; ) {
      const child = childOf(node, prefix.charCodeAt(node.end));
      if (child === null || !isPrefixOf(child, prefix)) return;
      node = this.#own(child);
      setChild(way.at(-1)!, node);
      way.push(node);
    }
    const last = way.at(-1)!;
    if (last.best !== null)
      setCandidates(
        last,
        [last.best, ...last.others].filter((one) => one.route !== route),
      );
    this.#tidyUp(way);
  }

  /** Nothing may be changed any more. */
  finish(): PathIndex {
    return new PathIndex(this.#root);
  }

  #own(node: TreeNode): TreeNode {
    if (node.edit === this) return node;
    const { text, end, best, others, firstCode } = node;
    const children = node.children.length === 0 ? noChildren : [...node.children];
    return { text, end, best, others, children, firstCode, edit: this };
  }

  /** The node that stands for the prefix, made where it is missing. */
  #nodeFor(prefix: string): TreeNode {
    let node = this.#root;
    while (node.end < prefix.length) {
      const child = childOf(node, prefix.charCodeAt(node.end));
      const next = child === null ? newNode(prefix, prefix.length, noChildren, this) : this.#sharesUpTo(child, prefix);
      setChild(node, next);
      node = next;
    }
    return node;
  }

  /** `child` as our own when the prefix runs through it, else a new node for what both have in common. */
  #sharesUpTo(child: TreeNode, prefix: string): TreeNode {
    let at = 0;
    while (at < child.end && at < prefix.length && child.text.charCodeAt(at) === prefix.charCodeAt(at)) at++;
    if (at === child.end) return this.#own(child);
    const shared = newNode(child.text, at, noChildren, this);
    setChild(shared, child);
    return shared;
  }

  /** Nodes without a candidate stand only where ways part: as if what was taken out had never been there. */
  #tidyUp(way: readonly TreeNode[]): void {
    for (let i = way.length - 1; i > 0; i--) {
      const [node, parent] = [way[i]!, way[i - 1]!];
      if (node.best !== null) return;
      const children = node.children.filter((child) => child !== null);
      if (children.length > 1) return;
      if (children.length === 1) setChild(parent, children[0]!);
      else removeChild(parent, node.text.charCodeAt(parent.end));
    }
  }
}

/** Behind its equals: those were there before. */
function withCandidate(all: readonly Candidate[], candidate: Candidate): readonly Candidate[] {
  let at = all.length;
  while (at > 0 && isBefore(candidate, all[at - 1]!)) at--;
  return all.toSpliced(at, 0, candidate);
}

function setCandidates(node: TreeNode, all: readonly Candidate[]): void {
  node.best = all[0] ?? null;
  node.others = all.length > 1 ? all.slice(1) : noOthers;
}

function isPrefixOf({ text, end }: TreeNode, prefix: string): boolean {
  return end <= prefix.length && prefix.startsWith(text.slice(0, end));
}

function newNode(text: string, end: number, children: (TreeNode | null)[], edit: object = noChildren): TreeNode {
  return { text, end, best: null, others: noOthers, children, firstCode: 0, edit };
}

function childOf(node: TreeNode, code: number): TreeNode | null {
  return node.children[code - node.firstCode] ?? null;
}

/** Puts the child at the character that follows its parent, widening the parent's range to hold it. */
function setChild(parent: TreeNode, child: TreeNode): void {
  const code = child.text.charCodeAt(parent.end);
  if (parent.children.length === 0) {
    parent.children = [child];
    parent.firstCode = code;
    return;
  }
  while (code < parent.firstCode) {
    parent.children.unshift(null);
    parent.firstCode--;
  }
  while (code - parent.firstCode >= parent.children.length) parent.children.push(null);
  parent.children[code - parent.firstCode] = child;
}

function removeChild(parent: TreeNode, code: number): void {
  parent.children[code - parent.firstCode] = null;
  if (parent.children.every((child) => child === null)) parent.children = noChildren;
}
