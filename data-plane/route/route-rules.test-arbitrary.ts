import fc from "fast-check";
import { noTls } from "../config/tls-config.ts";
import type { RouteConfig, ServiceConfig, WorkerConfig } from "../config/worker-config.ts";
import type { RouteInput } from "./route-input.ts";

export type Headers = Record<string, readonly string[]>;
export type Rules = Partial<Omit<RouteConfig, "headers">> & { readonly headers?: Headers };
export interface Request extends Omit<RouteInput, "headers"> {
  readonly headers: Headers;
}

export function configOf(rules: readonly Rules[], services: ServiceConfig[] = []): WorkerConfig {
  const routes = rules.map(
    ({ headers, ...rule }, i): RouteConfig => ({
      id: String(i),
      name: null,
      createdAtMs: 0,
      protocols: ["http", "https"],
      ...{ methods: null, hosts: null, paths: null, snis: null },
      headers: headers ? Object.entries(headers).map(([name, values]) => ({ name, values })) : null,
      regexPriority: 0,
      stripPath: true,
      preserveHost: false,
      httpsRedirectStatus: 426,
      ...{ bodyMaxBytes: null, totalTimeoutMs: null, retry: null },
      allowsEncodedSlashes: false,
      serviceIndex: -1,
      ...rule,
    }),
  );
  return { publication: 1, revision: 1, routes, services, pools: [], tls: noTls };
}

export function inputOf(request: Partial<Request>): RouteInput {
  const { headers = {}, ...rest } = request;
  return {
    protocol: "http",
    method: "GET",
    host: "a.com",
    port: 80,
    path: "/",
    sni: "",
    headers: { values: (name) => headers[name] ?? [] },
    ...rest,
  };
}

// Few and overlapping values, so that most requests have several candidates.
const hostRules = ["a.com", "a.com:81", "b.a.com", "*.com", "*.a.com", "*.a.com:81", "a.*", "b.*:80", "*"];
const pathRules = [
  "/",
  "/a",
  "/a/",
  "/ab",
  "/a/b",
  "/a/bc",
  "/b",
  "~/a",
  "~/a/\\w",
  "~/.*c",
  "~/a|/b",
  "~/ab?c",
  "~/[ab]+$",
];
const someOf = (values: readonly string[]) =>
  fc.option(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }), { nil: null });
export const rulesArbitrary: fc.Arbitrary<Rules> = fc.record({
  hosts: someOf(hostRules),
  paths: someOf(pathRules),
  methods: someOf(["GET", "POST"]),
  headers: fc.constantFrom<Headers>({}, { x: ["1"] }, { x: ["1", "~*2$"], y: ["Z"] }),
  protocols: fc.constantFrom<RouteConfig["protocols"]>(["http"], ["https"], ["http", "https"]),
  snis: someOf(["a.com", "*.a.com", "a.*"]),
  regexPriority: fc.nat(2),
  createdAtMs: fc.nat(2),
});
export const requestArbitrary: fc.Arbitrary<Request> = fc.record({
  protocol: fc.constantFrom("http", "https"),
  method: fc.constantFrom("GET", "POST", "PUT"),
  host: fc.constantFrom("a.com", "b.a.com", "c.b.a.com", "a.org", "b.x", ""),
  port: fc.constantFrom(80, 81),
  sni: fc.constantFrom("", "a.com", "b.a.com", "a.org", "b.org"),
  path: fc.constantFrom("/", "/a", "/a/", "/a/b", "/a/bcd", "/abc", "/ac", "/b", "/c/b"),
  headers: fc.constantFrom<Headers>({}, { x: ["1"] }, { x: ["0", "12"], y: ["z"] }),
});
