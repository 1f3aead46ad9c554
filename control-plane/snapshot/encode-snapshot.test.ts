import { describe, expect, it } from "vitest";
import { encodeSnapshot } from "./encode-snapshot.ts";

const epoch = { counter: 1, id: Buffer.alloc(16) };

describe("encodeSnapshot", () => {
  it("encodes a chunk when it is come to, and once for all who go through them", () => {
    let readCount = 0;
    const bytes = Buffer.alloc(900);
    const entities = Array.from({ length: 10 }, (_, i) => ({
      ...{ kind: "route", id: `r${i}` },
      get body() {
        readCount++;
        return bytes;
      },
    }));
    const content = { epoch, publication: 1, revision: 1, stateHash: new Uint8Array(32), entities };
    const { messages } = encodeSnapshot(content, 2_048);
    // A begin, two entities in each chunk, an end; to cut them, the bodies' lengths were read.
    expect(messages.length).toBe(7);
    const readsToCut = readCount;
    const made: Buffer[] = [];
    const readsAfter: number[] = [];
    for (const message of messages) {
      made.push(message);
      readsAfter.push(readCount - readsToCut);
    }
    expect(readsAfter).toEqual([0, 2, 4, 6, 8, 10, 10]);
    expect([...messages].every((message, i) => message === made[i])).toBe(true);
    expect(readCount - readsToCut).toBe(10);
  });
});
