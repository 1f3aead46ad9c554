import type { Clock } from "./clock.ts";
import type { NodeAnswer, NodeQuestion } from "./fleet.ts";
import { streamEnded } from "./node-questions.ts";

/** The streams of the nodes, as far as they are asked. */
export interface AskedStreams {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** The open one of a node. */
  sessionOf(nodeId: string): { ask(question: NodeQuestion): Promise<NodeAnswer> } | undefined;
  /** The process at its other end; "" where it does not say. */
  instanceOf(nodeId: string): string;
}

/**
 * Asks a node that has a stream, and once more, for the time that is left, where its process opens another stream in the
 * place of that one: it does so for each new certificate, and what it is asked may take longer than one is valid.
 */
export async function askNode(streams: AskedStreams, nodeId: string, question: NodeQuestion): Promise<NodeAnswer> {
  const { clock } = streams;
  const instance = streams.instanceOf(nodeId);
  const endsAtMs = clock.monotonicMs() + question.timeoutMs;
  for (;;) {
    // Whole ones: they are told to people.
    const timeoutMs = Math.max(1, Math.round(endsAtMs - clock.monotonicMs()));
    const answer = await streams.sessionOf(nodeId)!.ask({ ...question, timeoutMs });
    // Another process knows nothing of what this one had under way.
    const isSameThere = streams.sessionOf(nodeId) !== undefined && streams.instanceOf(nodeId) === instance;
    if (answer.answered !== streamEnded || instance === "" || !isSameThere) return answer;
    if (clock.monotonicMs() >= endsAtMs) return answer;
  }
}
