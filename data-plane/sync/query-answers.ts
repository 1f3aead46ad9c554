import type { Query } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { NodeStream } from "./sync-stream.ts";

/** Answers a question about the live node, while somebody waits for it; null for a kind of question that is not known. */
export type AnswerQuery = (kind: string, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array> | null;

/** Questions that are being answered at once. */
const QUERIES_MAX = 256;

/** Beyond this a question is none: read as JSON, it would be 20 times as much in memory. */
const BODY_MAX_BYTES = 1024 * 1024;

/** The questions of the open stream that this node is answering. */
export class QueryAnswers {
  readonly #answer: AnswerQuery;
  readonly #asked = new Map<bigint, AbortController>();

  constructor(answer: AnswerQuery) {
    this.#answer = answer;
  }

  /** Answers on the stream that the question came on. Never rejects. */
  async answer({ id, kind, body }: Query, stream: Pick<NodeStream, "send">): Promise<void> {
    const problem = (text: string) => stream.send({ case: "queryResult", value: { id, problem: text } });
    if (this.#asked.size >= QUERIES_MAX) {
      problem("this node is answering too many queries");
      return;
    }
    // The one before would be among those that are answered, and be counted and cancelled by nobody.
    if (this.#asked.has(id)) {
      problem("this node is answering another query of this id");
      return;
    }
    if (body.length > BODY_MAX_BYTES) {
      problem(`the query has more than ${BODY_MAX_BYTES} bytes`);
      return;
    }
    const asker = new AbortController();
    this.#asked.set(id, asker);
    try {
      const answer = await this.#answer(kind, body, asker.signal);
      if (asker.signal.aborted) return;
      if (answer === null) problem("this node answers no such query");
      else stream.send({ case: "queryResult", value: { id, body: answer } });
    } catch (error) {
      if (!asker.signal.aborted) problem(error instanceof Error ? error.message : String(error));
    } finally {
      // An id is used again on the next stream.
      if (this.#asked.get(id) === asker) this.#asked.delete(id);
    }
  }

  /** Nobody waits for this answer any more; its place is free at once. */
  cancel(id: bigint): void {
    this.#asked.get(id)?.abort();
    this.#asked.delete(id);
  }

  /** Nobody waits for any. */
  streamEnded(): void {
    for (const id of this.#asked.keys()) this.cancel(id);
  }
}
