import { describe, expect, it } from "vitest";
import { testEndpoint } from "../config/worker-config.test-entities.ts";
import { attemptsLine, withAttempts } from "./attempts-header.ts";
import { LoggedRequest } from "./logged-request.ts";

const first = testEndpoint({ address: "127.0.0.1", port: 80 });
const second = testEndpoint({ address: "::1", port: 81 });

describe("attemptsLine", () => {
  it.each<{ name: string; attempts: (logged: LoggedRequest) => void; want: string }>([
    { name: "nobody was asked", attempts: () => {}, want: "none" },
    {
      name: "an answer has begun",
      attempts(logged) {
        logged.attemptStarted(first, 10);
        logged.attemptConnected(10.5);
        logged.attemptAnswered(200, 12);
      },
      want: '"127.0.0.1:80";status=200;ms=2.0;connect=0.5;wait=1.5',
    },
    {
      name: "others were asked before",
      attempts(logged) {
        logged.attemptStarted(first, 10);
        logged.attemptEnded("connection_refused", 10.2);
        logged.attemptStarted(second, 10.2);
        logged.attemptAnswered(503, 11.2);
        logged.attemptEnded("status_503", 11.3);
        logged.attemptStarted(first, 11.3);
        logged.attemptAnswered(404, 11.9);
      },
      want:
        '"127.0.0.1:80";error=connection_refused;ms=0.2, "[::1]:81";status=503;ms=1.1;wait=1.0, ' +
        '"127.0.0.1:80";status=404;ms=0.7;wait=0.6',
    },
    {
      name: "what had begun was lost",
      attempts(logged) {
        logged.attemptStarted(first, 10);
        logged.attemptAnswered(200, 11);
        logged.attemptEnded("connection_terminated", 11.5);
      },
      want: '"127.0.0.1:80";error=connection_terminated;ms=1.5;wait=1.0',
    },
    {
      name: "one goes on while the time of all is over",
      attempts: (logged) => logged.attemptStarted(first, 10),
      want: '"127.0.0.1:80";error=http_response_timeout;ms=2.0',
    },
  ])("tells what there was when $name", ({ attempts, want }) => {
    const logged = new LoggedRequest();
    // Of a request before.
    for (let i = 0; i < 3; i++) {
      logged.attemptStarted(second, i);
      logged.attemptConnected(i);
      logged.attemptAnswered(500, i);
    }
    logged.reset();
    attempts(logged);
    expect(attemptsLine(logged, "http_response_timeout", 12)).toBe(`Penstock-Attempts: ${want}\r\n`);
  });

  it("tells of 50 at most", () => {
    const logged = new LoggedRequest();
    for (let i = 0; i < 60; i++) logged.attemptStarted(first, 10);
    expect(attemptsLine(logged, "x", 10).match(/ms=/g)).toHaveLength(50);
  });
});

describe("withAttempts", () => {
  it("puts the line last", () => {
    expect(withAttempts("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "C: d\r\n")).toBe("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n");
  });
});
