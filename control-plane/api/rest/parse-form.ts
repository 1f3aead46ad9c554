/** One place in the tree that a form's keys spell out. A place is a value, a record or a list, never two of them. */
export interface FormNode {
  /** From `a=v`, `a=w` and `a[]=v`, in order. */
  readonly values: string[];
  /** Whether a value came as `a[]=v`, which makes a list even of one. */
  isAppended: boolean;
  /** From `a.b=v` and `a[key]=v`. */
  readonly fields: Map<string, FormNode>;
  /** From `a[1]=v`, counted from 1. */
  readonly items: Map<number, FormNode>;
}

export type ParsedForm =
  | { readonly ok: true; readonly root: FormNode }
  | { readonly ok: false; readonly message: string };

/** Most `key=value` pairs that a form may have. */
const pairsMaxCount = 1000;

/** Deepest key, `a.b.c` being 3; Kong's deepest field is 5. */
const keyMaxDepth = 16;

type KeyPart =
  | { readonly type: "field"; readonly name: string }
  | { readonly type: "item"; readonly index: number }
  | { readonly type: "append" };

/**
 * Parses an application/x-www-form-urlencoded body with Kong's nesting keys:
 * `a.b=v` and `a[key]=v` name a field within a, `a[]=v` and a repeated `a=v` append, `a[1]=v` is the first item.
 * Says nothing of types: those come from the resource's fields.
 */
export function parseForm(text: string): ParsedForm {
  const root = emptyNode();
  const pairs = text.split("&").filter((pair) => pair !== "");
  if (pairs.length > pairsMaxCount) return { ok: false, message: "Too many arguments" };
  for (const pair of pairs) {
    const message = addPair(root, pair);
    if (message !== null) return { ok: false, message: `Cannot parse form body: ${message}` };
  }
  const message = conflictWithin(root, "");
  return message === null ? { ok: true, root } : { ok: false, message: `Cannot parse form body: ${message}` };
}

function addPair(root: FormNode, pair: string): string | null {
  const equals = pair.indexOf("=");
  const key = decodePart(equals < 0 ? pair : pair.slice(0, equals));
  const value = equals < 0 ? null : decodePart(pair.slice(equals + 1));
  if (key === undefined || value === undefined) return `malformed percent-encoding in '${shorten(pair)}'`;
  if (value === null) return `'${shorten(key)}' has no value`;
  const parts = parseKey(key);
  if (parts === null) return `malformed key '${shorten(key)}'`;
  let node = root;
  for (const part of parts) {
    if (part.type === "append") node.isAppended = true;
    else node = part.type === "field" ? childOf(node.fields, part.name) : childOf(node.items, part.index);
  }
  node.values.push(value);
  return null;
}

/** `a.b[1]` to its parts; null when brackets or dots are out of place. */
function parseKey(key: string): KeyPart[] | null {
  if (key.startsWith(".")) return null;
  const parts: KeyPart[] = [];
  // Each match starts where the last ended, so anything out of place leaves a rest.
  const partPattern = /(?:^|\.)([^.[\]]+)|\[([^[\]]*)\]/y;
  while (partPattern.lastIndex < key.length) {
    const isFirst = partPattern.lastIndex === 0;
    const match = partPattern.exec(key);
    if (match === null || (isFirst && match[1] === undefined) || parts.length === keyMaxDepth) return null;
    if (parts.at(-1)?.type === "append") return null;
    if (match[1] !== undefined) parts.push({ type: "field", name: match[1] });
    else parts.push(bracketPart(match[2]!));
  }
  return parts.length === 0 ? null : parts;
}

function bracketPart(inner: string): KeyPart {
  if (inner === "") return { type: "append" };
  return /^\d+$/.test(inner) ? { type: "item", index: Number(inner) } : { type: "field", name: inner };
}

/** Undefined when it is not what percent-encoding of UTF-8 gives. */
function decodePart(part: string): string | undefined {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** Says where one place is used as two things, or a list has a hole. */
function conflictWithin(node: FormNode, path: string): string | null {
  const uses = [node.values.length > 0, node.fields.size > 0, node.items.size > 0].filter(Boolean);
  if (uses.length > 1) return `conflicting values for '${shorten(path)}'`;
  for (let index = 1; index <= node.items.size; index++) {
    const item = node.items.get(index);
    // Positions are counted from 1 and must be complete, or two clients would mean different lists by the same body.
    if (item === undefined) return `'${shorten(path)}[${index}]' is missing`;
    if (item.values.length > 1) return `conflicting values for '${shorten(path)}[${index}]'`;
    const message = conflictWithin(item, `${path}[${index}]`);
    if (message !== null) return message;
  }
  for (const [name, field] of node.fields) {
    const message = conflictWithin(field, path === "" ? name : `${path}.${name}`);
    if (message !== null) return message;
  }
  return null;
}

function childOf<Key>(children: Map<Key, FormNode>, key: Key): FormNode {
  const child = children.get(key) ?? emptyNode();
  children.set(key, child);
  return child;
}

function emptyNode(): FormNode {
  return { values: [], isAppended: false, fields: new Map(), items: new Map() };
}

/** For error texts. */
function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
