/** How a whole answer must reach the client. */
export interface Delivery {
  /** Status and reason as the target sent them. */
  readonly line: string;
  /** The lines before ours: what travels as it came, then framing as this client needs it. Default: none. */
  readonly fields?: string;
  /** In its framing, as it reaches the client. Default: none. */
  readonly body?: string;
  /** What reaches the client before it: interim answers, byte for byte. Default: none. */
  readonly interim?: string;
  /** The target's connection carries the next request too. Default: true. */
  readonly isReused?: boolean;
}

/**
 * One answer as a target sends it. "502": nothing of it reaches the client. "cut": the client sees that what it
 * has is not whole, or gets a 502 where nothing was passed on yet. In both the target's connection is never used again.
 */
export interface ResponseCase {
  readonly name: string;
  readonly bytes: string;
  readonly want: Delivery | "502" | "cut";
  /** What the client asks with; default GET. */
  readonly method?: string;
  /** Of the client; default 1.1. */
  readonly version?: "1.0" | "1.1";
  /** What the target does after the bytes; default: it leaves the connection open. */
  readonly afterwards?: "close" | "reset";
}

export interface ResponseFamily {
  readonly name: string;
  readonly source: string;
  readonly cases: readonly ResponseCase[];
}

export function hostile(
  rows: readonly (readonly [name: string, bytes: string, want?: "502" | "cut", afterwards?: "close" | "reset"])[],
): ResponseCase[] {
  return rows.map(([name, bytes, want = "502", afterwards]) => ({
    name,
    bytes,
    want,
    ...(afterwards === undefined ? {} : { afterwards }),
  }));
}
