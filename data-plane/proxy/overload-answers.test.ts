import { describe, expect, it } from "vitest";
import { errorResponse } from "./error-response.ts";
import { OverloadAnswers, overloadLines } from "./overload-answers.ts";
import { proxyError } from "./proxy-error.ts";

describe("OverloadAnswers", () => {
  const answers = new OverloadAnswers("1.2.3");
  const first = "Fri, 27 Nov 2026 10:00:00 GMT";
  const second = "Fri, 27 Nov 2026 10:00:01 GMT";

  it.each(["", "*/*", "text/plain", "text/html;q=0.9, application/xml", "application/xml", "image/png"])(
    "says what errorResponse says, to a client that accepts '%s'",
    (accept) => {
      for (const [date, closes, latencyMs] of [
        [first, false, 0],
        [first, false, 17],
        [first, true, 3],
        [second, false, 0],
      ] as const) {
        const facts = { requestId: "0123456789abcdef0123456789abcdef", accept, latencyMs, date, closes };
        const error = proxyError("overloaded");
        const rest = {
          contentType: "",
          version: "1.2.3",
          isAnswerToHead: false,
          extraLines: overloadLines,
          detail: "",
        };
        expect(answers.text(facts)).toBe(errorResponse(error, 503, { ...facts, ...rest }));
      }
    },
  );
});
