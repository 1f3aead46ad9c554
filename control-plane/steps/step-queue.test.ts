import { describe, expect, it } from "vitest";
import { StepQueue } from "./step-queue.ts";
import { together } from "./together.ts";
import { untilDone } from "./until-done.ts";

/** A queue on a clock on which a step takes a millisecond, and whose turns the test takes. */
function queueOf(sliceMs: number) {
  const seen: string[] = [];
  const errors: unknown[] = [];
  const turns: (() => void)[] = [];
  let nowMs = 0;
  const clock = {
    monotonicMs: () => nowMs,
    after: (_delayMs: number, run: () => void) => {
      turns.push(run);
      return () => void turns.splice(turns.indexOf(run), 1);
    },
  };
  const queue = new StepQueue({ clock, sliceMs, onError: (error) => errors.push(error) });
  function* steps(name: string, count: number): Generator<void, void> {
    for (let i = 1; ; i++) {
      nowMs++;
      seen.push(`${name}${i}`);
      if (i === count) return;
      yield;
    }
  }
  const add = (name: string, count: number, then: () => void = () => {}) =>
    queue.add(
      () => steps(name, count),
      () => {
        seen.push(`${name} done`);
        then();
      },
    );
  const turn = () => turns.shift()?.();
  const takeSeen = () => seen.splice(0).join(" ");
  return { queue, add, turn, turns, takeSeen, errors };
}

describe("StepQueue", () => {
  it("does at once what fits into a slice", () => {
    const { queue, add, takeSeen } = queueOf(10);
    add("a", 3);
    expect(takeSeen()).toBe("a1 a2 a3 a done");
    expect(queue.isIdle).toBe(true);
  });

  it("takes the rest in turns of their own, a slice in each, and what came meanwhile after it", () => {
    const { queue, add, turn, takeSeen } = queueOf(2);
    add("a", 5);
    add("b", 1);
    expect(takeSeen()).toBe("a1 a2");
    expect(queue.isIdle).toBe(false);
    turn();
    expect(takeSeen()).toBe("a3 a4");
    turn();
    expect(takeSeen()).toBe("a5 a done b1 b done");
    expect(queue.isIdle).toBe(true);
  });

  it("takes one step at least", () => {
    const { add, takeSeen, turn } = queueOf(0);
    add("a", 2);
    expect(takeSeen()).toBe("a1");
    turn();
    expect(takeSeen()).toBe("a2 a done");
  });

  it("begins what is added when something is done after that", () => {
    const { add, takeSeen } = queueOf(10);
    add("a", 1, () => add("b", 1));
    expect(takeSeen()).toBe("a1 a done b1 b done");
  });

  it("lets nothing in between two steps, nor while something is done, and nothing begin before that", () => {
    const { queue, add, turn, takeSeen } = queueOf(1);
    const change = (name: string) => queue.between(() => add(name, 1));
    change("now");
    expect(takeSeen()).toBe("now1 now done");
    add("a", 2, () => change("in done"));
    add("b", 1);
    queue.between(() => add("c", 1));
    let isChanged = false;
    queue.between(() => {
      isChanged = true;
    });
    expect(isChanged).toBe(false);
    turn();
    expect(isChanged).toBe(true);
    for (let i = 0; i < 3; i++) turn();
    expect(takeSeen()).toBe("a1 a2 a done b1 b done c1 c done in done1 in done done");
    // Between two works, of which the second waits for its turn.
    add("d", 2);
    add("e", 1);
    turn();
    expect(takeSeen()).toBe("d1 d2 d done");
    let isNow = false;
    queue.between(() => {
      isNow = true;
    });
    expect(isNow).toBe(true);
  });

  it("goes on after what throws, and tells of it", () => {
    const { queue, add, takeSeen, errors, turn } = queueOf(10);
    queue.add(
      () => {
        throw new Error("begun");
      },
      () => {
        throw new Error("done");
      },
    );
    add("a", 1);
    expect(takeSeen()).toBe("a1 a done");
    expect(errors.map(String)).toEqual(["Error: begun", "Error: done"]);
    turn();
    expect(queue.isIdle).toBe(true);
  });

  it("does nothing more once it is closed", () => {
    const { queue, add, turns, takeSeen } = queueOf(1);
    add("a", 3);
    queue.close();
    add("b", 1);
    expect(turns).toEqual([]);
    expect(takeSeen()).toBe("a1");
    const inDone = queueOf(10);
    inDone.add("a", 1, () => inDone.queue.close());
    inDone.add("b", 1);
    expect(inDone.takeSeen()).toBe("a1 a done");
  });
});

describe("together", () => {
  it("takes the first step of each, then all of the first, and comes to what each comes to", () => {
    const seen: string[] = [];
    function* steps(name: string, count: number): Generator<void, string> {
      for (let i = 1; i <= count; i++) {
        seen.push(`${name}${i}`);
        if (i < count) yield;
      }
      return `${name} done`;
    }
    expect(untilDone(together([steps("a", 3), steps("b", 1), steps("c", 2)]))).toEqual(["a done", "b done", "c done"]);
    expect(seen.join(" ")).toBe("a1 b1 c1 a2 a3 c2");
  });
});
