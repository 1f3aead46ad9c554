/** `{3}`, `{3,}` or `{3,5}`; any other brace is a letter. */
const countPattern = /\{(\d+)(,(\d*))?\}/y;
/** What one step consumes beyond its first character: `\p{Greek}`, `\x{10FFFF}`, or one escaped character. */
const escapePattern = /\\(?:[pPx]\{[^}]{0,64}\}|.)/suy;
/** `[…]`: a "]" that comes first is a letter, and classes such as `[:alpha:]` stand within. */
const classPattern = /\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]?/suy;
const quotePattern = /\\Q(.*?)(?:\\E|$)/suy;

/**
 * About how many steps a regular expression has when it is compiled, its counted repeats written out: `(ab){1000}` has
 * twelve characters and 2000 steps. Never much less than what the engine makes of it. An expression that is broken has
 * some size, too; what is wrong with it is for the engine to say.
 *
 * Cost: one pass over the text, where compiling takes up to a second for 8 KiB.
 */
export function regexSize(regex: string): number {
  /** Steps of each group that is open, the whole expression first. */
  const groups = [0];
  /** Steps of what a repeat would repeat. */
  let last = 0;
  const add = (steps: number) => {
    groups[groups.length - 1]! += steps;
    last = steps;
  };
  for (let at = 0; at < regex.length; ) {
    const match = (pattern: RegExp): RegExpExecArray | null => {
      pattern.lastIndex = at;
      return pattern.exec(regex);
    };
    const char = regex[at]!;
    const part = char === "\\" ? (match(quotePattern) ?? match(escapePattern)) : null;
    const span = part ?? (char === "[" ? match(classPattern) : char === "{" ? match(countPattern) : null);
    at += span?.[0].length ?? 1;
    if (char === "(") groups.push(0);
    else if (char === ")" && groups.length > 1) add(groups.pop()! + 2);
    else if (char === "{" && span !== null) {
      const repeated = last * (repeatCount(span) - 1) + (span[2] === undefined ? 0 : repeatCount(span) + 1);
      groups[groups.length - 1]! += repeated;
      last += repeated;
    } else if (part !== null) add(part[1]?.length ?? 1);
    else if (char === "*" || char === "+" || char === "?") groups[groups.length - 1]! += 2;
    else add(1);
  }
  return groups.reduce((sum, steps) => sum + steps, 0);
}

/** How many copies a counted repeat makes: one more than its lower end where it has no upper one. */
function repeatCount([, low, comma, high]: RegExpExecArray): number {
  if (comma === undefined) return Math.max(1, Number(low));
  return Math.max(1, high === "" ? Number(low) + 1 : Number(high));
}
