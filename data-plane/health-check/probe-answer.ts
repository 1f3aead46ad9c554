import type { ProbeConfig } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { Framing } from "../http1/body-framing.ts";
import { ChunkScanner } from "../http1/chunk-scanner.ts";
import { ResponseHead } from "../http1/response-head.ts";

/** Of a body; and of all that comes before it. */
const textMaxBytes = 65_536;
const headMaxBytes = 65_536;
/** The longest status line up to its code. */
const statusLineBytes = "HTTP/1.1 200".length;

/** Used by every probe: a head is read within one call. */
const head = new ResponseHead();

/** The answer to one HTTP probe, as far as it is looked at: the status line, or the body too. */
export class ProbeAnswer {
  readonly #probe: ProbeConfig;
  #bytes: Buffer = Buffer.alloc(0);
  /** Where the final head begins. */
  #start = 0;

  constructor(probe: ProbeConfig) {
    this.#probe = probe;
  }

  /** @returns what the probe met, once that is clear */
  read(bytes: Buffer): ProbeOutcome | null {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return this.#look(false);
  }

  /** Nothing more comes. */
  end(): ProbeOutcome {
    return this.#look(true) ?? { type: "failed", problem: "closed before an answer" };
  }

  #look(isEnd: boolean): ProbeOutcome | null {
    for (;;) {
      const status = this.#status();
      if (status === null) return null;
      if (status < 0) return { type: "bad_answer", problem: "what is no HTTP" };
      if (status >= 200 || status === 101) return this.#lookAt(status, isEnd);
      // An interim answer: the one that counts comes after it.
      const end = this.#bytes.indexOf("\r\n\r\n", this.#start, "latin1");
      if (end < 0)
        return this.#bytes.length > headMaxBytes ? { type: "bad_answer", problem: "no end of a head" } : null;
      this.#start = end + 4;
    }
  }

  /** null = not here yet; -1 = no status line. */
  #status(): number | null {
    const start = this.#start;
    const line = this.#bytes.toString("latin1", start, start + statusLineBytes + 1);
    if (line.length <= statusLineBytes) {
      return "HTTP/1.".startsWith(line.slice(0, 7)) ? null : -1;
    }
    const match = /^HTTP\/1\.[01] ([1-9][0-9]{2})[ \r\n]$/.exec(line);
    return match === null ? -1 : Number(match[1]);
  }

  #lookAt(status: number, isEnd: boolean): ProbeOutcome | null {
    const { bodyContains, method } = this.#probe;
    if (bodyContains === null) return { type: "status", status, hasText: true };
    const isAnswerToHead = method === "HEAD";
    const bodyStart = head.parse(this.#bytes, this.#start, this.#bytes.length, isAnswerToHead);
    if (bodyStart < 0) return { type: "bad_answer", problem: "a head that is not valid" };
    if (bodyStart === 0) return isEnd ? { type: "failed", problem: "closed within the head" } : null;
    const { text, isWhole } = readBody(this.#bytes, bodyStart);
    const hasText = text.subarray(0, textMaxBytes).includes(bodyContains);
    if (hasText || isWhole || isEnd || text.length >= textMaxBytes) return { type: "status", status, hasText };
    return null;
  }
}

/** What is here of the body of the head that was read last. */
function readBody(bytes: Buffer, start: number): { readonly text: Buffer; readonly isWhole: boolean } {
  switch (head.framing) {
    case Framing.None:
      return { text: Buffer.alloc(0), isWhole: true };
    case Framing.Chunked:
      return readChunks(bytes, start);
    case Framing.Length: {
      const end = start + head.contentLength;
      return { text: bytes.subarray(start, end), isWhole: bytes.length >= end };
    }
    default:
      return { text: bytes.subarray(start), isWhole: false };
  }
}

function readChunks(bytes: Buffer, start: number): { readonly text: Buffer; readonly isWhole: boolean } {
  const scanner = new ChunkScanner();
  scanner.start(true);
  const pieces: Buffer[] = [];
  let at = start;
  while (at < bytes.length && !scanner.isDone) {
    at = scanner.scan(bytes, at, bytes.length);
    if (at < 0) break;
    pieces.push(bytes.subarray(scanner.forwardStart, scanner.forwardEnd));
  }
  return { text: Buffer.concat(pieces), isWhole: at < 0 || scanner.isDone };
}
