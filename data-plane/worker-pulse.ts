import type { ResourceLimits } from "node:worker_threads";
import type { WorkerThread } from "./worker-thread.ts";

/** How often `takePulse` is to be called. */
export const PULSE_MS = 1_000;

/** A worker that has yet to answer at all gets so many times the usual patience: all of them start at one moment. */
const START_PATIENCE = 3;
/** A worker that uses so much of its heap, for so many pulses, should be replaced while it still can hand over. */
const HEAP_FULL_RATIO = 0.85;
const HEAP_FULL_PULSES = 5;
/** One that has just begun and is full needs that much: replacing it again would not help. */
const REPLACED_AGAIN_PULSES = 60;

/**
 * Asks a worker for a sign of life, and says what the ones before told. Time is counted in pulses of the main thread
 * and not by the clock: when the whole process was stopped for a while, the workers had no time to answer either.
 */
export function takePulse(
  thread: WorkerThread,
  answerTimeoutMs: number,
  { maxOldGenerationSizeMb = Number.POSITIVE_INFINITY }: ResourceLimits,
): "well" | "silent" | "full" {
  thread.pulsesLived++;
  const pulsesSilent = thread.countSilence();
  const isFull = thread.heapBytes > maxOldGenerationSizeMb * 2 ** 20 * HEAP_FULL_RATIO;
  thread.pulsesFull = isFull ? thread.pulsesFull + 1 : 0;
  const patienceMs = answerTimeoutMs * (thread.hasStarted ? 1 : START_PATIENCE);
  if (pulsesSilent * PULSE_MS >= patienceMs) return "silent";
  // The answer also keeps what a lost worker had counted from being lost with it.
  if (!thread.isAsked) void thread.requestCounters();
  return thread.pulsesFull >= HEAP_FULL_PULSES && thread.pulsesLived >= REPLACED_AGAIN_PULSES ? "full" : "well";
}
