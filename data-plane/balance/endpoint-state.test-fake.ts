import type { EndpointFlag, EndpointState } from "./endpoint-state.ts";

/** The endpoint table of one thread, with what a test says of the endpoints. */
export class FakeEndpointState implements EndpointState {
  readonly #flags = new Map<number, Set<EndpointFlag>>();
  readonly #inFlight = new Map<number, number>();
  readonly #ramps = new Map<number, number>();
  readonly #outOrders = new Map<number, number>();
  readonly #latencies = new Map<number, { readonly us: number; readonly atMs: number }>();
  #cursor = 0;
  #generation = 7;

  isOut(row: number): boolean {
    const flags = this.#flags.get(row);
    return flags !== undefined && flags.size > 0 && !flags.has("forced_in");
  }

  has(row: number, flag: EndpointFlag): boolean {
    return this.#flags.get(row)?.has(flag) === true;
  }

  set(row: number, flag: EndpointFlag): void {
    this.#flags.set(row, (this.#flags.get(row) ?? new Set()).add(flag));
    this.#generation++;
    this.#outOrders.set(row, this.#generation);
  }

  readmit(row: number): void {
    this.#flags.delete(row);
    this.#generation++;
  }

  generation(): number {
    return this.#generation;
  }

  cursor(): number {
    return this.#cursor;
  }

  advanceCursor(): number {
    return this.#cursor++;
  }

  advanceCursorPast(_poolRow: number, skips: Uint16Array): number {
    const taken = this.#cursor + skips[this.#cursor % skips.length]!;
    this.#cursor = taken + 1;
    return taken;
  }

  eject(_poolRow: number, row: number): boolean {
    this.set(row, "ejected");
    return true;
  }

  attemptBegins(_poolRow: number, row: number): void {
    this.#inFlight.set(row, this.inFlight(row) + 1);
  }

  attemptEnds(_poolRow: number, row: number): void {
    this.#inFlight.set(row, this.inFlight(row) - 1);
  }

  inFlight(row: number): number {
    return this.#inFlight.get(row) ?? 0;
  }

  poolInFlight(): number {
    let sum = 0;
    for (const count of this.#inFlight.values()) sum += count;
    return sum;
  }

  isAtLimit(row: number, max: number): boolean {
    return this.inFlight(row) >= max;
  }

  ramp(row: number): number {
    return this.#ramps.get(row) ?? 1_000;
  }

  setRamp(_poolRow: number, row: number, thousandths: number): void {
    this.#ramps.set(row, thousandths);
    this.#generation++;
  }

  outOrder(row: number): number {
    return this.#outOrders.get(row) ?? 0;
  }

  latencyUs(row: number): number {
    return this.#latencies.get(row)?.us ?? 0;
  }

  latencyAgeMs(row: number, nowMs: number): number {
    return nowMs - (this.#latencies.get(row)?.atMs ?? 0);
  }

  setLatency(row: number, us: number, nowMs: number): void {
    this.#latencies.set(row, { us, atMs: nowMs });
  }
}
