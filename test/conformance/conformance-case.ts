/** What one request must look like where it arrives, after our rewriting. */
export interface Arrival {
  /** Method and target. */
  readonly line: string;
  /** The lines between Host and ours: framing first, then what travels as it came. Default: none. */
  readonly fields?: string;
  /** In its framing, as it arrives. Default: none. */
  readonly body?: string;
  /** Our own lines where they differ from those of a plain request; null for a line that must be missing. */
  readonly ours?: Readonly<Record<string, string | null>>;
}

/** The client is answered with this status, the connection closes, and nothing complete arrives anywhere. */
export interface Refusal {
  readonly status: number;
  /** The head was forwarded before its body went wrong: the target may see a request that never ends. */
  readonly mayOpen?: true;
}

/** One request, or several on one connection, as a client sends them. Texts are latin1: one character, one byte. */
export interface RequestCase {
  readonly name: string;
  readonly bytes: string;
  /** "waits": the request is not complete; it is neither refused nor forwarded as a whole. */
  readonly want: readonly Arrival[] | Refusal | "waits";
  /** Why we take what Node's strict parser refuses. */
  readonly nodeRefuses?: string;
}

/** Cases that break, or keep to, the same rule. */
export interface RequestFamily {
  readonly name: string;
  /** RFC section, or the known attack, that the cases are about. */
  readonly source: string;
  readonly cases: readonly RequestCase[];
}

export function refused(rows: readonly (readonly [name: string, bytes: string, status?: number])[]): RequestCase[] {
  return rows.map(([name, bytes, status = 400]) => ({ name, bytes, want: { status } }));
}

/** A body that goes wrong after a good head. */
export function brokenOff(rows: readonly (readonly [name: string, bytes: string, status?: number])[]): RequestCase[] {
  return rows.map(([name, bytes, status = 400]) => ({ name, bytes, want: { status, mayOpen: true } }));
}

export function accepted(
  rows: readonly (readonly [name: string, bytes: string, want: Arrival | readonly Arrival[], nodeRefuses?: string])[],
): RequestCase[] {
  return rows.map(([name, bytes, want, nodeRefuses]) => ({
    name,
    bytes,
    want: "line" in want ? [want] : want,
    ...(nodeRefuses === undefined ? {} : { nodeRefuses }),
  }));
}

/** A GET of /x with these lines beside Host. */
export function get(lines: string, target = "/x"): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`;
}

/** A POST to /x with these lines beside Host, and what follows the head. */
export function post(lines: string, body: string): string {
  return `POST /x HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n${body}`;
}

/** A chunked POST to /x. */
export function chunked(body: string): string {
  return post("Transfer-Encoding: chunked\r\n", body);
}
