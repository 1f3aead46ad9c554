import type { EndpointConfig, EndpointSet, PoolConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { LevelPicker } from "./level-picker.ts";
import type { PickQuestion } from "./picker.ts";
import type { Rotation } from "./rotation.ts";
import type { RotationLevel } from "./rotation-level.ts";
import { isAmong } from "./tried-endpoints.ts";

/**
 * The endpoint that the client's cookie names, of whatever tier and zone and also of weight 0, so that one which is drained
 * keeps its sessions; weighted round-robin for new sessions, and for those whose endpoint is gone, out, or at its limit.
 * At its limit, it is passed over for that request only: the cookie stays (proxy/hash-input.ts).
 * While too few are available, those that get requests all the same keep their sessions too, and with fail_closed none do.
 */
export class StickySessions extends LevelPicker {
  readonly #byKey = new Map<string, EndpointConfig>();
  /** Those in use although they are out. */
  #rowsInUse: ReadonlySet<number> = new Set();
  #isClosed = false;

  constructor(pool: PoolConfig, set: EndpointSet, state: EndpointState) {
    super(pool, set.endpoints, state);
    // Of several that have the same name, such as the addresses of one target, the first one.
    for (const endpoint of set.endpoints) {
      if (endpoint.stickyKey !== "" && !this.#byKey.has(endpoint.stickyKey))
        this.#byKey.set(endpoint.stickyKey, endpoint);
    }
  }

  /** A session takes nobody's turn. */
  override pick(question: PickQuestion): EndpointConfig | null {
    const holder = this.#holderOf(question);
    if (holder === null) return super.pick(question);
    if (this.canTake(holder, question.tried)) {
      this.isFull = false;
      return holder;
    }
    return super.pick(question) ?? this.#againAt(holder, question);
  }

  override peek(question: PickQuestion): EndpointConfig | null {
    const holder = this.#holderOf(question);
    if (holder === null) return super.peek(question);
    if (this.canTake(holder, question.tried)) {
      this.isFull = false;
      return holder;
    }
    return super.peek(question) ?? this.#againAt(holder, question);
  }

  /** Nobody gets new sessions: all are drained, or at their limits. */
  #againAt(holder: EndpointConfig, { tried }: PickQuestion): EndpointConfig | null {
    this.isFull = !isAmong(tried, holder) || !this.hasRoom(holder);
    return this.isFull ? null : holder;
  }

  /** Who has the session, whether it can take a request or not; null without one. */
  #holderOf({ stickyKey }: PickQuestion): EndpointConfig | null {
    const holder = stickyKey === "" ? undefined : this.#byKey.get(stickyKey);
    if (holder === undefined) return null;
    this.rotation();
    if (this.#isClosed) return null;
    return !this.state.isOut(holder.row) || this.#rowsInUse.has(holder.row) ? holder : null;
  }

  protected override rotated({ levels, reserve, isPanic }: Rotation): void {
    // Without any weight there is nothing to be too little: nobody is to get more than the sessions that there are.
    const hasWeight = this.endpoints.some(({ weight }) => weight > 0);
    this.#isClosed = isPanic && hasWeight && this.pool.resilience.panic.mode === "fail_closed";
    this.#rowsInUse = new Set(
      isPanic ? [...levels, ...reserve].flatMap(({ endpoints }) => endpoints.map(({ row }) => row)) : [],
    );
  }

  protected override chooseIn(
    level: RotationLevel,
    turn: number,
    _question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    return this.chooseByTurn(level, turn, tried);
  }
}
