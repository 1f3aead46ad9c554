import { createRequire } from "node:module";

type Re2 = typeof import("re2js");

// RE2 instead of RegExp: `^(a+)+$` keeps RegExp busy for seconds on 30 characters, and routes come from users.
// Loaded on first use, because it costs memory in every worker and most states have no regex route; and with
// require, because routes are compiled without a turn of the loop in between.
let loadedRe2: Re2 | null = null;

function re2(): Re2 {
  loadedRe2 ??= createRequire(import.meta.url)("re2js") as Re2;
  return loadedRe2;
}

/** A route's regular path. */
export interface PathPattern {
  /** How many characters from the start of the path it matches, or -1. Linear in the path's length. */
  matchedChars(path: string): number;
  /** What a group of it matched, by the group's name or number; "" where there is no such group, or it matched nothing. */
  captured(path: string, group: string): string;
}

/**
 * Compiles a path written `~/...`. It is anchored at the start of the path, all alternatives of it, and not at
 * the end. Throws when it does not compile.
 */
export function compilePathPattern(path: string): PathPattern {
  const pattern = re2().RE2JS.compile(path.slice(1));
  const matcher = pattern.matcher("");
  const numberOf = (group: string) => (/^\d{1,4}$/.test(group) ? Number(group) : (pattern.namedGroups()[group] ?? -1));
  return {
    matchedChars: (requestPath) => (matcher.resetMatcherInput(requestPath).lookingAt() ? matcher.end() : -1),
    captured(requestPath, group) {
      const number = numberOf(group);
      if (number < 0 || number > matcher.groupCount()) return "";
      return matcher.resetMatcherInput(requestPath).lookingAt() ? (matcher.group(number) ?? "") : "";
    },
  };
}

/** Compiles a header value written `~*...`: found anywhere in the value, letters of either case. Throws like above. */
export function compileHeaderPattern(value: string): (headerValue: string) => boolean {
  const { RE2JS } = re2();
  const pattern = RE2JS.compile(value.slice(2), RE2JS.CASE_INSENSITIVE);
  return (headerValue) => pattern.test(headerValue);
}

export function isPathPattern(path: string): boolean {
  return path.startsWith("~");
}

export function isHeaderPattern(value: string): boolean {
  return value.startsWith("~*");
}

/** Why a path written `~/...` cannot be compiled, or null. Plain paths have no such problem. */
export function checkPathPattern(path: string): string | null {
  return isPathPattern(path) ? problemOf(() => compilePathPattern(path)) : null;
}

/** Why a header value written `~*...` cannot be compiled, or null. */
export function checkHeaderPattern(value: string): string | null {
  return isHeaderPattern(value) ? problemOf(() => compileHeaderPattern(value)) : null;
}

function problemOf(compile: () => unknown): string | null {
  try {
    compile();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const literalChar = /[A-Za-z0-9/_~!@%&=:;,'" -]/;
const quantifier = /[*+?{]/;

/**
 * Characters that every match of a path written `~/...` begins with, so that it can be indexed like a prefix.
 * Shorter than it could be where the pattern is hard to read, never longer.
 */
export function literalPrefix(path: string): string {
  const pattern = path.slice(1);
  if (mayHaveOuterAlternative(pattern)) return "";
  let prefix = "";
  for (let i = 0; i < pattern.length; i++) {
    let char = pattern[i]!;
    if (char === "\\" && /[./\-_~]/.test(pattern[i + 1] ?? "")) char = pattern[++i]!;
    else if (!literalChar.test(char)) break;
    // A quantified character may be absent: it is not part of the prefix, and nothing after it is.
    if (quantifier.test(pattern[i + 1] ?? "")) break;
    prefix += char;
  }
  return prefix;
}

/** Whether a `|` may stand outside of every group. Classes and escapes could hide parentheses: then it may. */
function mayHaveOuterAlternative(pattern: string): boolean {
  if (!pattern.includes("|")) return false;
  if (/[[\\]/.test(pattern)) return true;
  let depth = 0;
  for (const char of pattern) {
    if (char === "(") depth++;
    else if (char === ")") depth--;
    else if (char === "|" && depth === 0) return true;
  }
  return false;
}
