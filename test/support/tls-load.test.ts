import { describe, expect, it } from "vitest";
import { type Handshake, type Rotation, staleHandshakes } from "./tls-load.ts";

const rotation = (digest: string, writeBegunAtMs: number): Rotation => {
  return { digest, writeBegunAtMs, writeReturnedAtMs: writeBegunAtMs + 5 };
};
const rotations = [rotation("a", -10), rotation("b", 100), rotation("c", 200)];
const handshake = (digest: string, begunAtMs: number, doneAtMs = begunAtMs + 1): Handshake => {
  return { digest, begunAtMs, doneAtMs, isResumed: false };
};

describe("staleHandshakes", () => {
  it.each([
    { what: "the one that is there", given: handshake("a", 50), isStale: false },
    { what: "the old one while the new one is being written", given: handshake("a", 102), isStale: false },
    { what: "the new one while it is being written", given: handshake("b", 102), isStale: false },
    {
      what: "the new one that was written in the midst of the handshake",
      given: handshake("b", 99, 104),
      isStale: false,
    },
    { what: "the old one after the write returned", given: handshake("a", 106), isStale: true },
    { what: "one that is not written yet", given: handshake("c", 106), isStale: true },
    { what: "one of long before", given: handshake("a", 300), isStale: true },
    { what: "one that nobody wrote", given: handshake("", 300), isStale: true },
  ])("takes $what: $isStale", ({ given, isStale }) => {
    expect(staleHandshakes([given], rotations)).toEqual(isStale ? [given] : []);
  });
});
