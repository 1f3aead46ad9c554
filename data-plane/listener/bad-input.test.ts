import { describe, expect, it } from "vitest";
import {
  answerText,
  backend,
  closedPort,
  get,
  post,
  type RawMessage,
  type RigOptions,
  rig,
  until,
} from "./proxy-server.test-rig.ts";

const requestId = (head: string) => /^X-Kong-Request-Id: ([0-9a-f]{32})\r$/m.exec(head)![1];
const plainBody = (message: string, head: string) => `${message}\nrequest_id: ${requestId(head)}\n`;
const jsonBody = (message: string, head: string) =>
  `{\n  "message":"${message}",\n  "request_id":"${requestId(head)}"\n}`;

const badInput: readonly [status: string, why: string, message: string, bytes: string][] = [
  ["400 Bad Request", "line_end", "Bad request", "GET / HTTP/1.1\nHost: a\r\n\r\n"],
  ["408 Request Timeout", "", "Request timed out", "GET / HTTP/1.1\r\nHost: a"],
  ["413 Content Too Large", "", "Request body too large", post("/", "x".repeat(11))],
  ["414 URI Too Long", "target_too_long", "URI too long", get(`/${"y".repeat(8_192)}`)],
  ["417 Expectation Failed", "expectation", "Expectation failed", post("/", "x", "Expect: tea\r\n")],
  ["421 Misdirected Request", "misdirected", "Misdirected request", get("https://a.test/")],
  [
    "431 Request Header Fields Too Large",
    "too_many_fields",
    "Request header or cookie too large",
    get("/", "X: y\r\n".repeat(100)),
  ],
  ["501 Not Implemented", "unknown_method", "Not implemented", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"],
  [
    "505 HTTP Version Not Supported",
    "unsupported_version",
    "HTTP version not supported",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
  ],
];

describe("bad input", () => {
  it.each(badInput)("gets %s (%s), our error body, and a closed connection", async (status, why, message, bytes) => {
    const target = await backend((_, socket) => void socket.write(answerText("hello")));
    const server = { limits: { headTimeoutMs: 100, bodyMaxBytes: 10, lingerTimeoutMs: 50 } };
    const proxy = await rig({ ports: [target.port], server });
    const client = proxy.client().send(bytes);
    const { head, body } = await client.answer();
    const details = why === "" ? "" : `; details="${why}"`;
    const type = status.startsWith("413") ? "http_request_denied" : "http_request_error";
    expect(head.replace(/\r\nDate: [^\r]+/, "")).toMatch(
      new RegExp(
        `^HTTP/1\\.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: \\d+\r\n` +
          `Connection: close\r\nServer: penstock/0\\.0\\.1\r\nProxy-Status: penstock; error=${type}${details}\r\n` +
          "X-Kong-Response-Latency: \\d+\r\nX-Kong-Request-Id: [0-9a-f]{32}\r\n\r\n$",
      ),
    );
    expect(body).toBe(plainBody(message, head));
    expect(await client.rest()).toBe("");
    expect(target.requests).toEqual([]);
  });
});

describe("a bad answer of a target", () => {
  it("gets 502 with our error body; the target's connection ends, the client's goes on", async () => {
    const target = await backend((_, socket) => void socket.write("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 1; i <= 3; i++) {
      const { head, body } = await client.send(get("/")).answer();
      expect(head).toMatch(
        /^HTTP\/1\.1 502 .*Proxy-Status: penstock; error=http_protocol_error; details="line_end"\r\n/s,
      );
      expect(head).not.toContain("Connection: close");
      expect(body).toBe(plainBody("An invalid response was received from the upstream server", head));
      expect(target.connectionCount).toBe(i);
      await until(() => target.sockets.size === 0);
    }
  });
});

describe("the body of an answer of our own", () => {
  const json = /^Content-Type: application\/json/m;
  const plain = /^Content-Type: text\/plain/m;
  const noRoute = "no Route matched with those values";
  const invalid = "An invalid response was received from the upstream server";

  async function ask(text: string, options: Partial<RigOptions> = {}): Promise<RawMessage> {
    const proxy = await rig({ ports: [await closedPort()], ...options });
    return await proxy.ask(text);
  }

  // Kong: what its proxy says is JSON unless Accept says otherwise; what its web server says goes by Accept, then by
  // the request's Content-Type, and is plain text without either.
  it.each([
    ["JSON where nothing is asked for", get("/"), json],
    [
      "HTML for a browser",
      get("/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"),
      /^Content-Type: text\/html/m,
    ],
    [
      "XML where that is wanted most",
      get("/", "Accept: application/json;q=0.5, application/xml\r\n"),
      /^Content-Type: application\/xml/m,
    ],
    ["JSON whatever the Content-Type", post("/", "x", "Content-Type: text/html\r\n"), json],
  ])("of the proxy is %s", async (_, text, want) => {
    const { head, body } = await ask(text, { routes: [{ paths: ["/only"] }] });
    expect(head).toMatch(want);
    expect(body).toContain(noRoute);
    if (want === json) expect(body).toBe(jsonBody(noRoute, head));
  });

  it.each([
    ["plain text where nothing is asked for", get("/"), plain],
    ["JSON for any type", get("/", "Accept: */*\r\n"), json],
    ["JSON for a request in JSON", post("/", "{}", "Content-Type: application/json; charset=utf-8\r\n"), json],
    ["JSON for a request of a type that has no body of ours", post("/", "x", "content-type: image/png\r\n"), json],
    ["plain text for a request in plain text", post("/", "x", "Content-Type: text/plain\r\n"), plain],
    [
      "what Accept says before what Content-Type says",
      post("/", "x", "Content-Type: application/json\r\nAccept: text/plain\r\n"),
      plain,
    ],
  ])("about a target is %s", async (_, text, want) => {
    const { head, body } = await ask(text);
    expect(head).toMatch(want);
    expect(body).toBe((want === json ? jsonBody : plainBody)(invalid, head));
  });

  it("does not go by the Content-Type of the request before", async () => {
    const proxy = await rig({ ports: [await closedPort()] });
    const client = proxy.client().send(post("/", "{}", "Content-Type: application/json\r\n"));
    expect((await client.answer()).head).toMatch(json);
    expect((await client.send(post("/", "x")).answer()).head).toMatch(plain);
  });
});
