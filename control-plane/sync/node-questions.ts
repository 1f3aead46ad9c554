import type { QueryResult } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { toldText } from "../observation/told-values.ts";
import { encodeMessage } from "../snapshot/encode-snapshot.ts";
import type { Clock } from "./clock.ts";
import type { NodeCall } from "./snapshot-sender.ts";

/** What became of a question to a node. */
export type Answered =
  | { readonly ok: true; readonly body: Uint8Array }
  /** Why there is no answer. */
  | { readonly ok: false; readonly problem: string };

/** The one problem of all questions whose stream has ended. */
export const streamEnded: Answered = { ok: false, problem: "its stream has ended" };
const unwanted: Answered = { ok: false, problem: "its answer is not waited for any more" };

/** The way to the node: writes to its stream. */
export interface QuestionSender {
  /** Asks, under an id that the answer repeats. */
  send(id: bigint): void;
  /** Says that nobody waits for the answer any more. */
  cancel(id: bigint): void;
}

/** Sends a question, and that it is given up, as messages of the node's stream. */
export function sendingQuery(call: Pick<NodeCall, "write">, kind: string, body: Uint8Array): QuestionSender {
  return {
    send: (id) => call.write(encodeMessage({ case: "query", value: { id, kind, body } })),
    cancel: (id) => call.write(encodeMessage({ case: "cancelQuery", value: { id } })),
  };
}

/** Questions to one node that are open at a time. */
const openMaxCount = 100;

/** What a node says why it cannot answer is cut off after this. */
const problemMaxLength = 300;

/** The questions to a node that were sent on its stream and are not answered yet. */
export class NodeQuestions {
  readonly #clock: Clock;
  readonly #open = new Map<bigint, { readonly settle: (answered: Answered) => void; readonly stopTimer: () => void }>();
  #lastId = 0n;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Sends a question and resolves with its answer, or with a problem when the time is over, of which the node is told,
   * or the stream ends.
   * @param signal that nobody waits for the answer any more
   */
  ask(timeoutMs: number, sender: QuestionSender, signal?: AbortSignal): Promise<Answered> {
    if (signal?.aborted) return Promise.resolve(unwanted);
    if (this.#isClosed) return Promise.resolve(streamEnded);
    if (this.#open.size >= openMaxCount)
      return Promise.resolve({ ok: false, problem: `${openMaxCount} questions to it are open already` });
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const settle = (answered: Answered) => {
        this.#open.get(id)?.stopTimer();
        this.#open.delete(id);
        signal?.removeEventListener("abort", onAbort);
        resolve(answered);
      };
      const giveUp = (problem: Answered) => {
        settle(problem);
        sender.cancel(id);
      };
      const onAbort = () => giveUp(unwanted);
      signal?.addEventListener("abort", onAbort);
      const stopTimer = this.#clock.after(timeoutMs, () =>
        giveUp({ ok: false, problem: `no answer within ${timeoutMs} ms` }),
      );
      this.#open.set(id, { settle, stopTimer });
      sender.send(id);
    });
  }

  /** Takes an answer; one to no open question came too late. */
  take({ id, body, problem }: QueryResult): void {
    const answered: Answered =
      problem === "" ? { ok: true, body } : { ok: false, problem: toldText(problem, problemMaxLength) };
    this.#open.get(id)?.settle(answered);
  }

  /** Ends every question with a problem. */
  close(): void {
    this.#isClosed = true;
    for (const { settle } of [...this.#open.values()]) settle(streamEnded);
  }
}
