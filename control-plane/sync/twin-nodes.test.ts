import { describe, expect, it } from "vitest";
import type { NodeFacts } from "./read-hello.ts";
import { TwinNodes } from "./twin-nodes.ts";

const hello = (instance: string): NodeFacts => ({
  ...{ id: "n", hostname: `host-of-${instance}`, build: "", capabilities: [], labels: {}, workerCount: 1 },
  instance,
});

/** Lets a process in where it is judged so; returns whether it was. */
function comes(twins: TwinNodes, instance: string): boolean {
  const facts = hello(instance);
  if (twins.judge(facts) !== null) return false;
  const older = twins.of(facts.id);
  // As the hub does it: the older stream ends before the newer one counts.
  if (older !== undefined) twins.left(facts.id);
  twins.connected(facts, older);
  return true;
}

describe("TwinNodes", () => {
  it("refuses every process that comes back, of however many with one id", () => {
    const twins = new TwinNodes();
    const clones = ["a", "b", "c", "d"];
    expect(clones.map((clone) => comes(twins, clone))).toEqual([true, true, true, true]);
    for (let round = 0; round < 3; round++)
      expect(clones.map((clone) => comes(twins, clone))).toEqual([false, false, false, true]);
    expect(twins.judge(hello("a"))?.cause).toContain("on host-of-d and on host-of-a");
    twins.left("n");
    expect(comes(twins, "a")).toBe(true);
  });

  it("forgets the oldest of very many", () => {
    const twins = new TwinNodes();
    for (let i = 0; i < 200; i++) comes(twins, `process-${i}`);
    expect([comes(twins, "process-198"), comes(twins, "process-100"), comes(twins, "process-0")]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it("lets in a process that restarts again and again, and processes that do not say which they are", () => {
    const twins = new TwinNodes();
    for (let i = 0; i < 3; i++) expect([comes(twins, `p${i}`), comes(twins, `p${i}`)]).toEqual([true, true]);
    // Another stream of the one that is there is no other process.
    for (let i = 0; i < 3; i++)
      expect([comes(twins, ""), comes(twins, "q"), comes(twins, "q")]).toEqual([true, true, true]);
  });
});
