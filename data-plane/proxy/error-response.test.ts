import { describe, expect, it } from "vitest";
import { bodyType, type ErrorFacts, errorResponse } from "./error-response.ts";
import { proxyError } from "./proxy-error.ts";

const facts: ErrorFacts = {
  requestId: "0123456789abcdef0123456789abcdef",
  accept: "",
  contentType: "",
  version: "1.2.3",
  latencyMs: 7,
  date: "Thu, 01 Jan 1970 00:00:00 GMT",
  closes: false,
  isAnswerToHead: false,
  extraLines: "",
  detail: "",
};

describe("errorResponse", () => {
  it("is a whole answer that says who made it", () => {
    expect(errorResponse(proxyError("no_route"), 404, facts)).toBe(
      "HTTP/1.1 404 Not Found\r\n" +
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" +
        "Content-Type: application/json; charset=utf-8\r\n" +
        "Content-Length: 103\r\n" +
        "Server: penstock/1.2.3\r\n" +
        "Proxy-Status: penstock; error=destination_not_found\r\n" +
        "X-Kong-Response-Latency: 7\r\n" +
        "X-Kong-Request-Id: 0123456789abcdef0123456789abcdef\r\n" +
        "\r\n" +
        '{\n  "message":"no Route matched with those values",\n  "request_id":"0123456789abcdef0123456789abcdef"\n}',
    );
  });

  it.each([
    ["text/plain", "text/plain", "no Route matched with those values\nrequest_id: 0123456789abcdef0123456789abcdef\n"],
    ["text/html", "text/html", "<p>no Route matched with those values.</p>"],
    ["application/xml", "application/xml", "<message>no Route matched with those values</message>"],
  ])("answers in %s when asked to", (accept, type, body) => {
    const answer = errorResponse(proxyError("no_route"), 404, { ...facts, accept });
    expect(answer).toContain(`Content-Type: ${type}; charset=utf-8\r\n`);
    expect(answer).toContain(body);
    expect(Number(/Content-Length: (\d+)/.exec(answer)![1])).toBe(answer.length - answer.indexOf("\r\n\r\n") - 4);
  });

  it("has the length but no body for HEAD, says that it closes, and why", () => {
    const head = { ...facts, isAnswerToHead: true, closes: true, detail: "line_end", extraLines: "X: y\r\n" };
    const answer = errorResponse(proxyError("bad_request"), 400, head);
    expect(answer.endsWith("\r\n\r\n")).toBe(true);
    expect(answer).toMatch(/Content-Length: [1-9]/);
    expect(answer).toContain("\r\nConnection: close\r\nX: y\r\n");
    expect(answer).toContain('Proxy-Status: penstock; error=http_request_error; details="line_end"\r\n');
  });
});

describe("bodyType", () => {
  it.each([
    ["", false, "json"],
    ["", true, "plain"],
    ["*/*", true, "json"],
    ["application/*", true, "json"],
    ["application/json", true, "json"],
    ["image/png", false, "json"],
    ["application/grpc", true, "json"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false, "html"],
    ["text/html;q=0.5, text/plain", false, "plain"],
    ["text/html;q=0, text/plain;q=0.1", false, "plain"],
    ["TEXT/HTML", false, "html"],
    ["text/html;q=abc", false, "html"],
    [",,;;q=", false, "json"],
  ] as const)("of %j is right (plain by default: %j)", (accept, isPlainByDefault, want) => {
    expect(bodyType(accept, isPlainByDefault)).toBe(want);
  });
});
