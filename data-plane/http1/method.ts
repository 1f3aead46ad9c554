/** A request method that we know, with what the proxy needs to know about it. */
export interface Method {
  readonly name: string;
  /** The name and the space after it. */
  readonly lineStart: string;
  /** May be sent again when an attempt was lost (RFC 9110 section 9.2.2). */
  readonly isIdempotent: boolean;
}

/** Of a head that was not read. */
export const noMethod: Method = { name: "", lineStart: " ", isIdempotent: false };

const idempotent = "GET HEAD OPTIONS TRACE PUT DELETE PROPFIND REPORT SEARCH QUERY PROPPATCH MKCOL COPY MOVE UNLOCK";
const others =
  "POST PATCH CONNECT LOCK BIND REBIND UNBIND ACL MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK SOURCE";

interface Candidate {
  readonly bytes: Uint8Array;
  readonly method: Method;
}

/** By length, then compared byte by byte: finding a method makes no string. */
const byLength: (Candidate[] | undefined)[] = [];
function add(names: string, isIdempotent: boolean): void {
  for (const name of names.split(" ")) {
    const candidates = byLength[name.length] ?? [];
    byLength[name.length] = candidates;
    candidates.push({
      bytes: Uint8Array.from(name, (char) => char.charCodeAt(0)),
      method: { name, lineStart: `${name} `, isIdempotent },
    });
  }
}
add(idempotent, true);
add(others, false);

export const methodMaxBytes = byLength.length - 1;

/** The method spelled at [start, end), or null: a server that does not know a method answers 501 (RFC 9110 section 9.1). */
export function findMethod(bytes: Uint8Array, start: number, end: number): Method | null {
  const candidates = byLength[end - start];
  if (candidates === undefined) return null;
  for (let c = 0; c < candidates.length; c++) {
    const candidate = candidates[c]!;
    let i = 0;
    while (i < candidate.bytes.length && bytes[start + i] === candidate.bytes[i]) i++;
    if (i === candidate.bytes.length) return candidate.method;
  }
  return null;
}
