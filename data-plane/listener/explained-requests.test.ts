import { describe, expect, it } from "vitest";
import type { RouteConfig } from "../config/worker-config.ts";
import { explainRequest } from "../proxy/explain-request.ts";
import type { ExplainQuestion, Explanation } from "../proxy/explanation.ts";
import { answerText, backend, closedPort, type Rig, type RigOptions, rig } from "./proxy-server.test-rig.ts";

const question: ExplainQuestion = {
  scheme: "http",
  method: "GET",
  host: "a.test",
  path: "/",
  headers: [],
  clientAddress: "127.0.0.1",
  sni: "",
};

function explain({ server }: Rig, asked: Partial<ExplainQuestion>): Promise<Explanation> {
  return explainRequest(server.engine, server, { ...question, ...asked });
}

/** The same request, sent. */
function ask(proxy: Rig, asked: Partial<ExplainQuestion>) {
  const { method, host, path, headers } = { ...question, ...asked };
  const lines = headers.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
  const text = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`;
  return proxy.ask(Buffer.from(text).toString("latin1"));
}

/** As a target gets it, with its head's lines in their order. */
function headOf({ rewritten }: Explanation): string {
  const { method, target, host, headers } = rewritten!;
  const lines = [{ name: "Host", value: host }, ...headers].map(({ name, value }) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

const withoutId = (head: string) => head.replace(/^X-Kong-Request-Id: .*$/m, "X-Kong-Request-Id: *");

const routes: readonly Partial<RouteConfig>[] = [
  { name: "stripped", paths: ["/a"] },
  { name: "kept", paths: ["/k"], stripPath: false, preserveHost: true },
  { name: "regex", paths: ["~/r/\\d+"] },
  { name: "posted", paths: ["/p"], methods: ["POST"] },
  { name: "hosted", paths: ["/h"], hosts: ["*.h.test:81"] },
  { name: "by header", paths: ["/x"], headers: [{ name: "x-v", values: ["2"] }] },
  { name: "secure", paths: ["/s"], protocols: ["https"], httpsRedirectStatus: 308 },
  { name: "secure, no redirect", paths: ["/t"], protocols: ["https"] },
  { name: "nowhere", paths: ["/n"], serviceIndex: -1 },
  { name: "small", paths: ["/small"], bodyMaxBytes: 3 },
];

describe("explainRequest", () => {
  it.each<{ asked: Partial<ExplainQuestion>; status: number; route: string | null; error?: string; detail?: string }>([
    { asked: { path: "/a" }, status: 200, route: "stripped" },
    { asked: { path: "/a/b//c/../%7e?x=1&y" }, status: 200, route: "stripped" },
    { asked: { path: "/k/b", host: "A.Test:8080", method: "DELETE" }, status: 200, route: "kept" },
    {
      asked: { path: "/r/12/x", headers: [{ name: "X-Forwarded-For", value: "192.0.2.1" }] },
      status: 200,
      route: "regex",
    },
    {
      asked: {
        path: "/a",
        headers: [
          { name: "Connection", value: "X-Gone" },
          { name: "X-Gone", value: "1" },
          { name: "X-Kept", value: "ä" },
          { name: "TE", value: "trailers" },
          { name: "Penstock-Debug", value: "attempts" },
          { name: "traceparent", value: "bad" },
        ],
      },
      status: 200,
      route: "stripped",
    },
    {
      asked: { path: "/p", method: "POST", headers: [{ name: "Content-Length", value: "0" }] },
      status: 200,
      route: "posted",
    },
    { asked: { path: "/p" }, status: 404, route: null, error: "no_route" },
    { asked: { path: "/h", host: "x.h.test:81" }, status: 200, route: "hosted" },
    { asked: { path: "/h", host: "x.h.test" }, status: 404, route: null, error: "no_route" },
    { asked: { path: "/x", headers: [{ name: "X_V", value: "2" }] }, status: 200, route: "by header" },
    { asked: { path: "/x", headers: [{ name: "X-V", value: "3" }] }, status: 404, route: null, error: "no_route" },
    { asked: { path: "/s/b?q" }, status: 308, route: "secure", error: "https_required" },
    { asked: { path: "/t" }, status: 426, route: "secure, no redirect", error: "https_required" },
    { asked: { path: "/n" }, status: 503, route: "nowhere", error: "no_service" },
    { asked: { path: "/a%00" }, status: 400, route: null, error: "bad_request", detail: "encoded_nul" },
    { asked: { path: "/a%2fb" }, status: 400, route: null, error: "bad_request", detail: "encoded_slash" },
    { asked: { host: "a b" }, status: 400, route: null, error: "bad_request", detail: "host_invalid" },
    { asked: { method: "BREW" }, status: 501, route: null, error: "not_implemented", detail: "unknown_method" },
    { asked: { method: "TRACE" }, status: 405, route: null, error: "method_not_allowed", detail: "trace_method" },
    {
      asked: { path: `/${"a".repeat(9_000)}` },
      status: 414,
      route: null,
      error: "uri_too_long",
      detail: "target_too_long",
    },
    {
      asked: { path: "/small", method: "POST", headers: [{ name: "Content-Length", value: "4" }] },
      status: 413,
      route: "small",
      error: "body_too_large",
    },
  ])("says what happens to $asked: $status by $route", async (expected) => {
    const target = await backend((_, socket) => socket.write(answerText("hi")));
    const proxy = await rig({ ports: [target.port], routes, service: { path: "/base" } });
    const { asked, status, route, error = "", detail = "" } = expected;
    const explained = await explain(proxy, asked);
    expect(explained.outcome).toMatchObject({ error, detail, status: error === "" ? 0 : status });
    expect(explained.route?.name ?? null).toBe(route);
    expect(proxy.counter("requests")).toBe(0);
    expect(target.requests).toEqual([]);

    const { head, body } = await ask(proxy, asked);
    expect(Number(head.slice(9, 12))).toBe(status);
    if (error !== "" && body !== "") expect(body).toContain(explained.outcome.message);
    if (explained.outcome.location !== "") expect(head).toContain(`\r\nLocation: ${explained.outcome.location}\r\n`);
    const got = target.requests.map((request) => withoutId(Buffer.from(request.head, "latin1").toString()));
    expect(got).toEqual(error === "" ? [withoutId(headOf(explained))] : []);
  });

  it("names the endpoint that the next request goes to, and takes nobody's turn", async () => {
    const targets = await Promise.all([1, 2, 3].map(() => backend((_, socket) => socket.write(answerText("hi")))));
    const ports = targets.map(({ port }) => port);
    const proxy = await rig({ ports, endpoints: [{ weight: 1 }, { weight: 2 }, { weight: 3 }] });
    for (let i = 0; i < 20; i++) {
      const explained = await explain(proxy, {});
      expect((await explain(proxy, {})).picked).toBe(explained.picked);
      const before = targets.map(({ requests }) => requests.length);
      await ask(proxy, {});
      const went = targets.find(({ requests }, k) => requests.length > before[k]!)!;
      expect(explained.picked).toBe(`127.0.0.1:${went.port}`);
      expect(explained.endpoints.map(({ share }) => Math.round(share * 6))).toEqual([1, 2, 3]);
      expect(explained.endpoints.filter(({ picked }) => picked).map(({ address }) => address)).toEqual([
        explained.picked,
      ]);
      expect(explained.endpoints.filter(({ next }) => next)).toHaveLength(1);
    }
    expect(proxy.counter("attempts")).toBe(20);
  });

  it("tells of endpoints that are out, and of a pool that panics", async () => {
    const target = await backend((_, socket) => socket.write(answerText("hi")));
    const closed = await closedPort();
    const proxy = await rig({ ports: [closed, target.port] });
    await ask(proxy, {});
    const explained = await explain(proxy, {});
    expect(explained).toMatchObject({
      picked: `127.0.0.1:${target.port}`,
      pool: { isPanic: false, name: expect.any(String) },
    });
    expect(explained.endpoints).toMatchObject([
      { address: `127.0.0.1:${closed}`, isIn: false, role: "ejected", share: 0, picked: false, next: true },
      { address: `127.0.0.1:${target.port}`, isIn: true, role: "in_use", share: 1, picked: true, next: false },
    ]);
    proxy.table.eject(0, explained.endpoints[1]!.row);
    const inPanic = await explain(proxy, {});
    expect(inPanic.pool!.isPanic).toBe(true);
    expect(inPanic.notes).toEqual(["too few endpoints are available: fail_open_unchecked decides"]);
  });

  it.each<{ name: string; options: Partial<RigOptions>; error: string }>([
    { name: "no endpoint", options: { ports: [] }, error: "no_peer" },
    {
      name: "a protocol that is not supported",
      options: { service: { isProtocolSupported: false } },
      error: "protocol_not_supported",
    },
  ])("says that nobody is asked with $name", async ({ options, error }) => {
    const proxy = await rig({ ports: [await closedPort()], ...options });
    const explained = await explain(proxy, {});
    expect(explained).toMatchObject({ picked: "", outcome: { kind: "KIND_ANSWERED", status: 503, error } });
    expect((await ask(proxy, {})).head).toMatch(/^HTTP\/1\.1 503 /);
  });

  it("has nothing to tell without a configuration", async () => {
    const proxy = await rig(null);
    expect(await explain(proxy, {})).toMatchObject({
      publication: 0,
      outcome: { status: 503, error: "no_configuration" },
    });
  });

  it("believes trusted proxies, and nobody else", async () => {
    const headers = [
      { name: "X-Forwarded-For", value: "192.0.2.7" },
      { name: "X-Forwarded-Proto", value: "https" },
    ];
    const proxy = await rig({ ports: [await closedPort()], server: { trustedProxies: ["10.0.0.0/8"] } });
    expect((await explain(proxy, { headers, clientAddress: "10.1.1.1" })).request).toMatchObject({
      clientAddress: "192.0.2.7",
      scheme: "https",
    });
    expect((await explain(proxy, { headers, clientAddress: "192.0.2.1" })).request).toMatchObject({
      clientAddress: "192.0.2.1",
      scheme: "http",
    });
  });

  it("knows the retries that a route asks for, and which requests may be sent again", async () => {
    const proxy = await rig({
      ports: [await closedPort()],
      service: { retries: 2 },
      routes: [{ retry: { statuses: [503], perTryTimeoutMs: 1_500 }, totalTimeoutMs: 20_000 }],
    });
    expect((await explain(proxy, {})).retry).toEqual({
      ...{ retries: 2, mayRepeat: true, statuses: [503], perTryTimeout: "1.5s", totalTimeout: "20s" },
    });
    expect((await explain(proxy, { method: "POST" })).retry).toMatchObject({ mayRepeat: false });
  });

  it("goes by the server name of a TLS connection, and by the port for TLS", async () => {
    const proxy = await rig({
      ports: [await closedPort()],
      routes: [{ snis: ["a.test"] }],
      tlsSettings: {},
    });
    const asked = { scheme: "https", sni: "a.test" } as const;
    const explained = await explain(proxy, asked);
    expect(explained.request).toMatchObject({ port: proxy.server.tlsPort, sni: "a.test", scheme: "https" });
    expect(explained.route).toBeDefined();
    const other = await explain(proxy, { ...asked, sni: "b.test" });
    expect(other.otherRoutes[0]!.reasons).toEqual(["server name b.test is none of a.test"]);
  });
});
