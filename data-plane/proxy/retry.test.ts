import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { UpstreamLoss } from "../upstream/http1-client.ts";
import { proxyError } from "./proxy-error.ts";
import { errorOfLoss, isConnectFailure, isReset, type LostAttempt, nextStep } from "./retry.ts";

const lost: LostAttempt = {
  loss: "closed",
  isReused: false,
  hasAnswerBytes: false,
  mayRepeat: true,
  extraAttempts: 0,
  retries: 5,
};
const losses: readonly UpstreamLoss[] = [
  "refused",
  "unreachable",
  "connect_timeout",
  "no_socket",
  "tls_certificate",
  "tls_protocol",
  "tls_alert",
  "closed",
  "timeout",
  "stalled",
  "bad_response",
  "defect",
];

describe("nextStep", () => {
  it.each([
    ["a refused connection goes elsewhere", { loss: "refused" }, "other_endpoint"],
    ["also for a POST whose body waits", { loss: "refused", mayRepeat: false }, "other_endpoint"],
    ["and when a target cannot prove who it is", { loss: "tls_certificate", mayRepeat: false }, "other_endpoint"],
    ["and when connecting timed out", { loss: "connect_timeout", mayRepeat: false }, "other_endpoint"],
    ["but not more often than allowed", { loss: "refused", extraAttempts: 5 }, "give_up"],
    ["and not at all with no retries", { loss: "refused", retries: 0 }, "give_up"],
    ["a lost GET goes elsewhere", {}, "other_endpoint"],
    ["a lost POST, or a PUT whose body is gone, does not", { mayRepeat: false }, "give_up"],
    ["nor a GET whose answer had begun", { hasAnswerBytes: true }, "give_up"],
    ["a kept connection's close is made good on a fresh one", { isReused: true, retries: 0 }, "fresh_connection"],
    ["but not for a POST", { isReused: true, mayRepeat: false }, "give_up"],
    ["a GET that timed out goes elsewhere", { loss: "timeout" }, "other_endpoint"],
    ["also on a kept connection", { loss: "timeout", isReused: true }, "other_endpoint"],
    ["a POST that timed out does not", { loss: "timeout", mayRepeat: false }, "give_up"],
    ["a broken answer is not asked for again", { loss: "bad_response" }, "give_up"],
    ["nor is a shortage of our own a reason to go on", { loss: "no_socket" }, "give_up"],
  ] as const)("%s", (_, facts, want) => {
    expect(nextStep({ ...lost, ...facts })).toBe(want);
  });

  it("never sends again what is not idempotent once it may have been read", () => {
    fc.assert(
      fc.property(fc.constantFrom(...losses), fc.boolean(), fc.boolean(), (loss, isReused, hasAnswerBytes) => {
        const step = nextStep({ ...lost, loss, isReused, hasAnswerBytes, mayRepeat: false });
        if (!isConnectFailure(loss)) expect(step).toBe("give_up");
      }),
    );
  });
});

describe("isReset", () => {
  it.each([
    ["a fresh connection that is closed", {}, true],
    ["a kept one, for a request that can be sent once more", { isReused: true }, false],
    ["a kept one, for a request that cannot", { isReused: true, mayRepeat: false }, true],
    ["a kept one in the midst of an answer", { isReused: true, hasAnswerBytes: true }, true],
    ["a time-out", { loss: "timeout", isReused: true }, true],
    ["what is no answer", { loss: "bad_response", isReused: true }, true],
    ["what we gave up ourselves", { loss: "stalled" }, false],
    ["a refused connection, which is worse", { loss: "refused" }, false],
  ] as const)("%s: %#", (_, facts, want) => {
    expect(isReset({ ...lost, ...facts })).toBe(want);
  });
});

describe("errorOfLoss", () => {
  it.each(losses)("has an error for %s", (loss) => {
    expect(proxyError(errorOfLoss(loss)).status).toBeGreaterThanOrEqual(500);
  });
});
