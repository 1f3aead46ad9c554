import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Holding, judgeOffer } from "./judge-offer.ts";

const id = Buffer.alloc(16, 1);
const otherId = Buffer.alloc(16, 2);
const hash = Buffer.alloc(32, 0xaa);
const otherHash = Buffer.alloc(32, 0xbb);
const held: Holding = { epoch: { counter: 5, id }, publication: 7, stateHash: hash };

describe("judgeOffer", () => {
  it.each([
    { name: "takes anything when nothing is held", held: null, offer: { ...held, publication: 1 }, want: "take" },
    {
      name: "takes a higher publication",
      held,
      offer: { ...held, publication: 8, stateHash: otherHash },
      want: "take",
    },
    {
      name: "takes a later epoch",
      held,
      offer: { ...held, epoch: { counter: 6, id: otherId }, publication: 1 },
      want: "take",
    },
    { name: "knows what it holds", held, offer: held, want: "duplicate" },
    { name: "knows older equal content", held, offer: { ...held, publication: 6 }, want: "duplicate" },
    {
      name: "refuses an older publication",
      held,
      offer: { ...held, publication: 6, stateHash: otherHash },
      want: "stale_publication",
    },
    { name: "refuses other content of one number", held, offer: { ...held, stateHash: otherHash }, want: "diverged" },
    {
      name: "refuses an earlier epoch",
      held,
      offer: { ...held, epoch: { counter: 4, id }, publication: 9 },
      want: "stale_epoch",
    },
    {
      name: "refuses a foreign store",
      held,
      offer: { ...held, epoch: { counter: 5, id: otherId }, publication: 9 },
      want: "foreign_store",
    },
  ])("$name", ({ held, offer, want }) => {
    const verdict = judgeOffer(held, offer);
    expect(verdict.type === "refuse" ? verdict.reason : verdict.type).toBe(want);
  });

  it("never goes back, whatever the order in which offers come", () => {
    const offer = fc.record({ counter: fc.integer({ min: 1, max: 3 }), publication: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(fc.array(offer, { maxLength: 100 }), (offers) => {
        const taken: Holding[] = [];
        for (const { counter, publication } of offers) {
          const next: Holding = { epoch: { counter, id }, publication, stateHash: Buffer.alloc(32, publication) };
          if (judgeOffer(taken.at(-1) ?? null, next).type === "take") taken.push(next);
        }
        const order = taken.map(({ epoch, publication }) => epoch.counter * 1_000 + publication);
        expect(order).toEqual([...new Set(order)].sort((left, right) => left - right));
      }),
    );
  });
});
