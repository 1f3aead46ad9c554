import { describe, expect, it } from "vitest";
import { SyncContact } from "./sync-contact.ts";

describe("SyncContact", () => {
  it("counts silence from the last word, on whatever stream", () => {
    let nowMs = 1_000;
    const contact = new SyncContact(() => nowMs);
    expect(contact.silenceMs).toBeNull();
    contact.streamOpened();
    expect(contact.silenceMs).toBeNull();
    contact.heard();
    nowMs = 1_500;
    contact.streamOpened();
    expect(contact.silenceMs).toBe(500);
  });

  it("is in sync only once a control plane has said so on the stream that is open", () => {
    let nowMs = 0;
    const contact = new SyncContact(() => nowMs);
    contact.streamOpened();
    contact.judged(true);
    expect(contact.outOfSyncMs).toBeNull();
    contact.heard();
    contact.judged(true);
    expect(contact.outOfSyncMs).toBe(0);
    nowMs = 10;
    contact.judged(false);
    nowMs = 30;
    contact.judged(false);
    expect(contact.outOfSyncMs).toBe(20);
    contact.streamOpened();
    contact.judged(true);
    expect(contact.outOfSyncMs).toBe(20);
    contact.heard();
    contact.judged(true);
    expect(contact.outOfSyncMs).toBe(0);
  });
});
