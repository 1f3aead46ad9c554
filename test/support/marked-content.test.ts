import { describe, expect, it } from "vitest";
import { ContentCheck, MarkedContent } from "./marked-content.ts";

const blockBytes = 1_048_576;

function bytesOf(content: MarkedContent, from: number, to: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = from; at < to; at += pieces.at(-1)!.length) pieces.push(content.piece(at, to - at));
  return Buffer.concat(pieces);
}

describe("ContentCheck", () => {
  const content = new MarkedContent();
  const whole = bytesOf(content, 0, 3 * blockBytes + 5);

  it("finds nothing wrong with the right bytes, however they are cut", () => {
    const check = new ContentCheck(content);
    for (let at = 0; at < whole.length; at += 99_991) check.take(whole.subarray(at, at + 99_991));
    expect(check).toMatchObject({ received: whole.length, wrongBytes: 0 });
  });

  it("counts each wrong byte", () => {
    const spoilt = Buffer.from(whole);
    for (const at of [0, 8, blockBytes - 1, 3 * blockBytes]) spoilt[at]! ^= 1;
    const check = new ContentCheck(content);
    check.take(spoilt);
    expect(check.wrongBytes).toBe(4);
  });

  it("notices a block in the place of another one", () => {
    const check = new ContentCheck(content);
    check.take(Buffer.concat([whole.subarray(0, blockBytes), whole.subarray(2 * blockBytes)]));
    expect(check.wrongBytes).toBeGreaterThan(0);
  });

  it("notices the content of another transfer", () => {
    const check = new ContentCheck(new MarkedContent());
    check.take(whole.subarray(0, 1_000));
    expect(check.wrongBytes).toBeGreaterThan(900);
  });
});
