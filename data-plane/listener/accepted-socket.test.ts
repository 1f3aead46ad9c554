import { describe, expect, it } from "vitest";
import { probeAcceptMode } from "./accepted-socket.ts";

describe("probeAcceptMode", () => {
  it("finds that this Node lets accepted sockets be read into our own memory", async () => {
    expect(await probeAcceptMode()).toBe("onread");
  });
});
