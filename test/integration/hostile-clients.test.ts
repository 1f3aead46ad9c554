import { describe, expect, it } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { getFresh, sendRaw } from "../support/raw-http.ts";

const get = (more: string): string => `GET /h/x HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

/** Each is refused with a 4xx or 5xx and a closed connection; what follows it on the connection is never read. */
const malformed: readonly { name: string; bytes: string | Buffer }[] = [
  { name: "both lengths", bytes: get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") },
  { name: "two lengths", bytes: get("Content-Length: 0\r\nContent-Length: 0\r\n") },
  { name: "a signed length", bytes: get("Content-Length: +3\r\n") },
  { name: "an odd transfer encoding", bytes: get("Transfer-Encoding: xchunked\r\n") },
  { name: "a listed transfer encoding", bytes: get("Transfer-Encoding: gzip, chunked\r\n") },
  { name: "chunked on HTTP/1.0", bytes: "GET /h/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" },
  { name: "a bare line feed", bytes: "GET /h/x HTTP/1.1\nHost: a\n\n" },
  { name: "a folded header", bytes: get("X-A: 1\r\n 2\r\n") },
  { name: "white space before the colon", bytes: get("X-A : 1\r\n") },
  { name: "an empty header name", bytes: get(": 1\r\n") },
  { name: "NUL in a value", bytes: get("X-A: 1\u00002\r\n") },
  { name: "a control byte in a name", bytes: get("X\u0001A: 1\r\n") },
  { name: "no Host", bytes: "GET /h/x HTTP/1.1\r\n\r\n" },
  { name: "two Hosts", bytes: get("Host: b\r\n") },
  { name: "a Host with a path", bytes: "GET /h/x HTTP/1.1\r\nHost: a/b\r\n\r\n" },
  { name: "a Connection that nominates Host", bytes: get("Connection: host\r\n") },
  { name: "HTTP/1.2", bytes: "GET /h/x HTTP/1.2\r\nHost: a\r\n\r\n" },
  { name: "HTTP/0.9", bytes: "GET /h/x\r\n\r\n" },
  { name: "two spaces in the request line", bytes: "GET  /h/x HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "CONNECT", bytes: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" },
  { name: "TRACE", bytes: "TRACE /h/x HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "an escaped NUL in the path", bytes: "GET /h/%00 HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "an escaped slash in the path", bytes: "GET /h%2fx HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "a broken escape in the path", bytes: "GET /h/%zz HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "a backslash in the path", bytes: "GET /h\\x HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "a chunk size that is none", bytes: `${get("Transfer-Encoding: chunked\r\n")}xyz\r\n` },
  { name: "a chunk size that overflows", bytes: `${get("Transfer-Encoding: chunked\r\n")}fffffffffffffffff\r\n` },
  { name: "no line end after a chunk", bytes: `${get("Transfer-Encoding: chunked\r\n")}3\r\nabcX\r\n` },
  { name: "256 KB of headers", bytes: get(`X-A: ${"a".repeat(256 * 1024)}\r\n`) },
  { name: "a URI of 100 KB", bytes: `GET /h/${"a".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: "2,000 headers", bytes: get("X-A: 1\r\n".repeat(2_000)) },
  { name: "the HTTP/2 preface", bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  { name: "a TLS hello", bytes: Buffer.from("1603010200010001fc0303", "hex") },
  { name: "bytes that are no protocol", bytes: Buffer.alloc(2_000, 0xff) },
];

describe("S16: malformed requests to the proxy", () => {
  it("are each refused with a closed connection, and end no worker and no process", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { workers: 1 });
    const target = await startEchoTargetProcess("t1");
    await createBalancedRoute(controlPlane.adminUrl, { name: "h", path: "/h", targets: [`127.0.0.1:${target.port}`] });

    const smuggled = "GET /h/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const { name, bytes } of malformed) {
      const whole = Buffer.concat([Buffer.from(bytes as string, "latin1"), Buffer.from(smuggled)]);
      const answer = await sendRaw(
        dataPlane.proxyPort,
        typeof bytes === "string" ? whole : Buffer.concat([bytes, Buffer.from(smuggled)]),
      );
      expect(answer.text, name).not.toContain("x-target");
      expect(answer.text.match(/HTTP\/1\.1 /g)?.length ?? 0, `${name}: ${answer.text}`).toBeLessThanOrEqual(1);
      if (answer.text !== "") expect(answer.status, `${name}: ${answer.text}`).toBeGreaterThanOrEqual(400);
      // The worker that just refused this goes on with the next client.
      expect((await getFresh(dataPlane.proxyPort, "/h/next")).status, `after ${name}`).toBe(200);
    }
    expect(dataPlane.child.exitCode).toBeNull();
    const { counters } = (await (await fetch(`${dataPlane.statusUrl}/status`)).json()) as {
      counters: Record<string, number>;
    };
    expect([counters["workers_lost"], counters["workers_replaced"], counters["defects"]]).toEqual([0, 0, 0]);
  });

  it("get 400 where the head is malformed", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { workers: 1 });
    await createBalancedRoute(controlPlane.adminUrl, { name: "h", path: "/h", targets: ["127.0.0.1:1"] });
    for (const { name, bytes } of malformed.slice(0, 12))
      expect((await sendRaw(dataPlane.proxyPort, bytes)).status, name).toBe(400);
  });
});
