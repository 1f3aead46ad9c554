/**
 * The one form of a URL path that routes are written in and requests are compared in: escapes of unreserved characters
 * decoded, other escapes in upper case, characters that a path may not hold escaped, dot segments resolved, repeated
 * slashes merged. Source: RFC 3986 sections 3.3, 5.2.4 and 6.2.2.
 *
 * @param path starts with "/" and has no malformed escapes
 */
export function normalizePath(path: string): string {
  return mergeSlashes(removeDotSegments(normalizeEscapes(path)));
}

const unreserved = /[A-Za-z0-9\-._~]/;
/** unreserved, sub-delims, ":", "@" and the slash between segments. */
const allowedInPath = /[A-Za-z0-9\-._~!$&'()*+,;=:@/]/;

function normalizeEscapes(path: string): string {
  return path.replace(/%[0-9A-Fa-f]{2}|[^%]/gsu, (piece) => {
    if (piece.length === 3 && piece.startsWith("%")) {
      const decoded = String.fromCharCode(Number.parseInt(piece.slice(1), 16));
      return unreserved.test(decoded) ? decoded : piece.toUpperCase();
    }
    if (allowedInPath.test(piece)) return piece;
    return [...new TextEncoder().encode(piece)].map(escapeByte).join("");
  });
}

const escapeByte = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split("/");
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    // "/a/." and "/a/b/.." name the folder: the slash at the end stays.
    else if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}

function mergeSlashes(path: string): string {
  return path.replace(/\/{2,}/g, "/");
}
