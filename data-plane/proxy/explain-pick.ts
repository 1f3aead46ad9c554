import type { EndpointFlag, EndpointState } from "../balance/endpoint-state.ts";
import { endpointsInUse } from "../balance/panic.ts";
import { createPicker, type PickQuestion } from "../balance/picker.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import type { ServedPool } from "../snapshot/snapshot-holder.ts";

/** Where a pool would send a request at this moment, and what each of its endpoints gets. */
export interface ExplainedPick {
  /** null: nobody is to get it. */
  readonly picked: EndpointConfig | null;
  /** Who would be asked should that one fail, and nobody else go out by it; null for nobody. */
  readonly next: EndpointConfig | null;
  readonly isPanic: boolean;
  /** In the order of the set. */
  readonly places: readonly EndpointPlace[];
}

interface EndpointPlace {
  readonly endpoint: EndpointConfig;
  readonly role: "in_use" | "ejected" | "out";
  /** Of the pool's requests, 0 to 1. */
  readonly share: number;
}

/** Asks the pool's own algorithm, and moves nothing: the next request goes where it would have gone. */
export function explainPick(
  { config, set }: Pick<ServedPool, "config" | "set">,
  question: PickQuestion,
  state: EndpointState,
): ExplainedPick {
  const picker = createPicker(config, set, new StillState(state));
  const picked = picker.pick(question);
  const other = picked === null ? null : picker.pick({ ...questionFacts(question), tried: [picked] });
  const { turning, lastResort, isPanic } = endpointsInUse(set.endpoints, state, config.resilience.panic);
  const inUse = new Set(turning.map(({ row }) => row));
  const ejected = new Set(lastResort.map(({ row }) => row));
  const weight = turning.reduce((sum, endpoint) => sum + endpoint.weight, 0);
  return {
    picked,
    next: other?.row === picked?.row ? null : other,
    isPanic,
    places: set.endpoints.map((endpoint) => ({
      endpoint,
      role: inUse.has(endpoint.row) ? "in_use" : ejected.has(endpoint.row) ? "ejected" : "out",
      share: inUse.has(endpoint.row) ? endpoint.weight / weight : 0,
    })),
  };
}

/** Of an exchange only what a picker goes by. */
function questionFacts({ hash, stickyKey, startedAtMs }: PickQuestion) {
  return { hash, stickyKey, startedAtMs };
}

/** The endpoint table as it stands: what would change it changes nothing. */
class StillState implements EndpointState {
  readonly #state: EndpointState;

  constructor(state: EndpointState) {
    this.#state = state;
  }

  isOut(row: number): boolean {
    return this.#state.isOut(row);
  }

  has(row: number, flag: EndpointFlag): boolean {
    return this.#state.has(row, flag);
  }

  generation(poolRow: number): number {
    return this.#state.generation(poolRow);
  }

  cursor(poolRow: number): number {
    return this.#state.cursor(poolRow);
  }

  advanceCursor(poolRow: number): number {
    return this.#state.cursor(poolRow);
  }

  eject(): boolean {
    return false;
  }

  attemptBegins(): void {}

  attemptEnds(): void {}

  inFlight(row: number): number {
    return this.#state.inFlight(row);
  }

  poolInFlight(poolRow: number): number {
    return this.#state.poolInFlight(poolRow);
  }

  isAtLimit(row: number, max: number): boolean {
    return this.#state.isAtLimit(row, max);
  }

  ramp(row: number): number {
    return this.#state.ramp(row);
  }

  outOrder(row: number): number {
    return this.#state.outOrder(row);
  }

  latencyUs(row: number): number {
    return this.#state.latencyUs(row);
  }

  latencyAgeMs(row: number, nowMs: number): number {
    return this.#state.latencyAgeMs(row, nowMs);
  }
}
