const RESTART_DELAY_MS = 50;
const RESTART_DELAY_MAX_MS = 5_000;
/** After so long without a loss the next one is the first again. */
const CALM_TICKS = 60;

/** The losses of workers: how long to wait before starting the next one, and whether what they serve is to blame. */
export class WorkerLosses {
  /** Losses without a calm time between them. */
  #streak = 0;
  #lastTick = Number.NEGATIVE_INFINITY;
  #ticksOnConfig: number[] = [];

  /** The workers got another config: it has yet to be to blame for anything. */
  configChanged(): void {
    this.#ticksOnConfig = [];
  }

  /** @param tick seconds of the main thread's own time */
  add(tick: number): { readonly delayMs: number; readonly withinMinuteOnConfig: number } {
    this.#streak = tick - this.#lastTick >= CALM_TICKS ? 0 : this.#streak + 1;
    this.#lastTick = tick;
    this.#ticksOnConfig = [...this.#ticksOnConfig.filter((at) => tick - at < CALM_TICKS), tick];
    const delayMs = this.#streak === 0 ? 0 : Math.min(RESTART_DELAY_MS * 2 ** this.#streak, RESTART_DELAY_MAX_MS);
    return { delayMs, withinMinuteOnConfig: this.#ticksOnConfig.length };
  }
}
