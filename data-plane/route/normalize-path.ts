/** A path as routing and the upstream see it. */
export type NormalPath = `/${string}`;

/** Why a path was refused. None of these begins with "/", which is how they are told from a path. */
export type PathProblem =
  | "not_absolute"
  | "encoded_nul"
  | "encoded_slash"
  | "encoded_backslash"
  | "backslash"
  | "malformed_escape"
  | "overlong_utf8"
  | "dot_segment_parameters"
  | "forbidden_byte";

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;

/** What a byte means to the quick look over a path. 0: nothing to do. */
const LOOK_CLOSER = 1;
const FORBIDDEN = 2;
const byteClass = new Uint8Array(256).fill(FORBIDDEN, 0, 0x21).fill(FORBIDDEN, 0x7f);
for (const code of [PERCENT, BACKSLASH]) byteClass[code] = LOOK_CLOSER;

/** Value of a hexadecimal digit, or 255. */
const hexValue = new Uint8Array(256).fill(255);
for (const [value, digit] of [..."0123456789abcdef"].entries()) {
  hexValue[digit.charCodeAt(0)] = value;
  hexValue[digit.toUpperCase().charCodeAt(0)] = value;
}

const isUnreserved = new Uint8Array(256);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
  isUnreserved[char.charCodeAt(0)] = 1;
}

/**
 * `;x`, `.;x` or `..;x`, also escaped: some servers cut the parameters off first, and are then left with an
 * empty segment, or with dots to resolve.
 */
const isDotsOrNothing = /^\.{0,2}(?:;|%3B)/;
/** Dots, or nothing with parameters, beside an escaped slash: those beside plain ones are resolved when this is asked. */
const climbsWhenDecoded = /(?:\/|%2F)(?:\.{1,2}(?=\/|%2F|$)|\.{0,2}(?:;|%3B))/i;

/**
 * The one spelling of a request path that routing matches and the upstream gets: dot segments resolved (also
 * written `%2e`), runs of slashes merged, unreserved characters decoded, the other escapes in upper case.
 * Refused is what the next hop might read as another path: encoded NUL, slash and backslash, a backslash,
 * malformed escapes, overlong UTF-8, dot or empty segments with parameters (`/..;/`, `/;x/`), control and
 * non-ASCII bytes.
 *
 * Source: RFC 3986 section 6.2.2; merging slashes is Kong's and nginx's custom.
 * Cost: one pass and the very same string back when there is nothing to do; one more pass otherwise.
 * @param rawPath path as sent (one character per byte), without query
 */
export function normalizePath(rawPath: string): NormalPath | PathProblem {
  if (rawPath.charCodeAt(0) !== SLASH) return "not_absolute";
  let needsRewrite = false;
  for (let i = 0; i < rawPath.length; i++) {
    const code = rawPath.charCodeAt(i);
    if (code > 255) return "forbidden_byte";
    const kind = byteClass[code]!;
    if (kind === FORBIDDEN) return "forbidden_byte";
    if (kind === LOOK_CLOSER) needsRewrite = true;
    else if (code === SLASH) {
      const next = rawPath.charCodeAt(i + 1);
      if (next === SLASH || next === DOT || next === SEMICOLON) needsRewrite = true;
    }
  }
  if (!needsRewrite) return rawPath as NormalPath;
  const decoded = decodeEscapes(rawPath, false);
  return isPathProblem(decoded) ? decoded : resolveSegments(decoded);
}

/**
 * The same for paths in which `%2F` is part of a name, as for some routes it is: it stays as it was sent, in upper or
 * lower case, and divides nothing. What it leaves between itself and a slash must not be dots: a server that decodes
 * it early would climb.
 */
export function normalizePathKeepingSlashes(rawPath: string): NormalPath | PathProblem {
  const path = normalizePath(rawPath);
  if (path !== "encoded_slash") return path;
  const decoded = decodeEscapes(rawPath, true);
  if (isPathProblem(decoded)) return decoded;
  const resolved = resolveSegments(decoded);
  return climbsWhenDecoded.test(resolved) ? "encoded_slash" : resolved;
}

export function hasEncodedSlash(path: NormalPath): boolean {
  return path.includes("%2F") || path.includes("%2f");
}

export function isPathProblem(result: NormalPath | PathProblem): result is PathProblem {
  return result.charCodeAt(0) !== SLASH;
}

/** Decodes unreserved characters and writes the other escapes in upper case, each escape once: `%2541` stays. */
function decodeEscapes(path: string, keepsSlashes: boolean): NormalPath | PathProblem {
  if (path.includes("\\")) return "backslash";
  let decoded = "";
  let copiedTo = 0;
  for (let at = path.indexOf("%"); at !== -1; at = path.indexOf("%", at + 3)) {
    const byte = escapedByte(path, at);
    if (byte === -1) return "malformed_escape";
    if (byte === 0) return "encoded_nul";
    if (byte === SLASH) {
      if (!keepsSlashes) return "encoded_slash";
      continue;
    }
    if (byte === BACKSLASH) return "encoded_backslash";
    if (byte >= 0x80 && isOverlong(byte, path, at)) return "overlong_utf8";
    decoded += path.slice(copiedTo, at);
    decoded += isUnreserved[byte] === 1 ? String.fromCharCode(byte) : path.slice(at, at + 3).toUpperCase();
    copiedTo = at + 3;
  }
  return (decoded + path.slice(copiedTo)) as NormalPath;
}

/** The byte that the escape at `at` stands for, or -1 when it is not two hexadecimal digits. */
function escapedByte(path: string, at: number): number {
  if (at + 2 >= path.length) return -1;
  const high = hexValue[path.charCodeAt(at + 1)]!;
  const low = hexValue[path.charCodeAt(at + 2)]!;
  return high === 255 || low === 255 ? -1 : high * 16 + low;
}

/**
 * Whether an escaped lead byte begins a UTF-8 sequence longer than its character needs: lenient decoders read
 * `%c0%af` as a slash. The second byte tells for the three and four byte forms.
 *
 * Source: RFC 3629 section 3.
 */
function isOverlong(lead: number, path: string, at: number): boolean {
  if (lead === 0xc0 || lead === 0xc1) return true;
  if (lead !== 0xe0 && lead !== 0xf0) return false;
  if (path.charCodeAt(at + 3) !== PERCENT) return false;
  const second = escapedByte(path, at + 3);
  return second >= 0x80 && second < (lead === 0xe0 ? 0xa0 : 0x90);
}

/** Resolves `.` and `..` and drops empty segments; a trailing slash stays, `..` at the root goes nowhere. */
function resolveSegments(path: NormalPath): NormalPath | PathProblem {
  const segments = path.split("/");
  const kept: string[] = [];
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!;
    const isLast = i === segments.length - 1;
    if (segment === "..") kept.pop();
    else if (segment !== "." && segment !== "") {
      if (isDotsOrNothing.test(segment)) return "dot_segment_parameters";
      kept.push(segment);
      continue;
    }
    // What ended in "/", "/." or "/.." names a directory.
    if (isLast && kept.length > 0) kept.push("");
  }
  return `/${kept.join("/")}`;
}
