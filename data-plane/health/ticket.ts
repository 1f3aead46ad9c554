/**
 * Numbers that are given out in the order in which requests come, by whatever thread. 32 bits that go round; 0 is none.
 * Of any two that wait at the same time the difference is less than 2^31, so that it is clear which one was first.
 */
export function ticketAfter(ticket: number): number {
  return (ticket + 1) | 0 || 1;
}

/** Whether the first of two tickets was given out before the other. */
export function isBefore(ticket: number, other: number): boolean {
  return ((ticket - other) | 0) < 0;
}
