import type { Contestant } from "./contestant.ts";
import { ours, peersAlongside } from "./contestant.ts";

/** How the load comes. */
export type LoadShape =
  /** On every connection `depth` requests in one write, the next when all of them are answered. */
  | { readonly kind: "keep-alive"; readonly depth: number }
  /** Every request on a connection of its own, which the proxy closes; over TLS resuming the session before, or not. */
  | { readonly kind: "new-connections"; readonly resumes?: boolean }
  /** Requests come when they are due, whether those before are answered or not. */
  | { readonly kind: "fixed-rate"; readonly perSecond: number };

/** A kind of load that is measured. */
export interface Workload {
  /** As `--only` takes it; the results lie in a file of this name, lower case. */
  readonly name: string;
  readonly title: string;
  readonly requestBodyBytes: number;
  /** Length of the answer's body. */
  readonly answerBytes: number;
  readonly shape: LoadShape;
  /** From the client to the proxy. */
  readonly isTls: boolean;
  readonly connectionCount: number;
  /** Round-robin weights of the two targets. */
  readonly targetWeights: readonly [number, number];
  /** Requests of each measurement, unless the command line says otherwise. */
  readonly requestCount: number;
  readonly contestants: readonly Contestant[];
}

/**
 * The fields that every subject must have set at the target, lower case: a proxy that leaves out part of the work
 * would be compared with one that does it.
 */
export const forwardedFields = [
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-path",
  "x-forwarded-prefix",
  "x-real-ip",
  "via",
] as const;

/** Hop-by-hop fields of the request that must not arrive at the target. */
export const strippedFields = ["keep-alive"] as const;

const keepAliveGet = {
  requestBodyBytes: 0,
  answerBytes: 100,
  shape: { kind: "keep-alive", depth: 1 },
  isTls: false,
  connectionCount: 16,
  targetWeights: [2, 1],
  requestCount: 40_000,
} as const satisfies Partial<Workload>;

const oneRoute = { routeCount: 1, upstreamCount: 1 };
/** "All features on": everything else that the term means is always on. */
const allFeatures = { routeCount: 1_000, upstreamCount: 1 };
const largeState = { routeCount: 10_000, upstreamCount: 1_000 };

/** Beside round-robin. The load sends no cookie: every answer gives one, which is the dearest case of sticky sessions. */
const algorithms = [
  { algorithm: "least-connections" },
  { algorithm: "latency" },
  { algorithm: "consistent-hashing", hash_on: "header", hash_on_header: "host" },
  { algorithm: "sticky-sessions", sticky_sessions_cookie: "session" },
];

/** Ours has 1,000 routes where the peers have one, unless the workload is about routes. */
const oursAndEveryPeer = [ours("penstock", allFeatures), ...peersAlongside(oneRoute)];

export const workloads: readonly Workload[] = [
  {
    ...keepAliveGet,
    name: "W1",
    title: "keep-alive GET, 100-byte answer, weighted round-robin over two targets, forwarded headers",
    contestants: [ours("penstock-one-route", oneRoute), ...oursAndEveryPeer],
  },
  {
    ...keepAliveGet,
    name: "W1r",
    title: "W1 with random paths over 1,000 routes, peers too",
    contestants: [
      // Side by side, as one is held against the other: the slowest peer rests them for minutes, and the machine drifts.
      ours("penstock-one-route", oneRoute),
      ours("penstock", allFeatures, { paths: "random" }),
      ...peersAlongside(allFeatures, { paths: "random" }),
    ],
  },
  {
    ...keepAliveGet,
    name: "W1state",
    title: "W1 with 10,000 routes and 1,000 upstreams",
    contestants: [
      ours("penstock", largeState),
      ours("penstock-random", largeState, { paths: "random" }),
      ours("penstock-one-route", oneRoute),
      ...peersAlongside(oneRoute, { programs: ["nginx"] }),
    ],
  },
  {
    ...keepAliveGet,
    name: "W1algorithms",
    title: "W1 under each algorithm",
    contestants: [
      ours("penstock", allFeatures),
      ...algorithms.map((upstream) => ours(`penstock-${upstream.algorithm}`, allFeatures, { upstream })),
      ...peersAlongside(oneRoute, { programs: ["nginx"] }),
    ],
  },
  {
    ...keepAliveGet,
    name: "W1log",
    title: "W1 with the access log on, written to a file",
    contestants: [
      ours("penstock", allFeatures, { hasAccessLog: true }),
      ours("penstock-no-log", allFeatures),
      ...peersAlongside(oneRoute, { programs: ["nginx"] }),
    ],
  },
  {
    ...keepAliveGet,
    name: "W2",
    title: "W1 with a 64 KiB answer",
    answerBytes: 65_536,
    requestCount: 20_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "W3",
    title: "W1 with a POST of 4 KiB",
    requestBodyBytes: 4_096,
    requestCount: 30_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "connections",
    title: "W1 with a new connection per request",
    shape: { kind: "new-connections" },
    requestCount: 12_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "pipelining",
    title: "W1 with HTTP/1.1 pipelining, 8 deep",
    shape: { kind: "keep-alive", depth: 8 },
    requestCount: 80_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "rate",
    title: "W1 at a fixed rate of 2,000 requests/s",
    shape: { kind: "fixed-rate", perSecond: 2_000 },
    connectionCount: 32,
    requestCount: 10_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "tls",
    title: "W1 over TLS 1.3, ECDSA P-256, X25519",
    isTls: true,
    requestCount: 30_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "tls-64k",
    title: "W1 over TLS with a 64 KiB answer",
    isTls: true,
    answerBytes: 65_536,
    requestCount: 10_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "tls-handshake",
    title: "a new TLS connection per request, with a full handshake (TLS 1.3, ECDSA P-256, X25519)",
    isTls: true,
    shape: { kind: "new-connections", resumes: false },
    requestCount: 3_000,
    contestants: oursAndEveryPeer,
  },
  {
    ...keepAliveGet,
    name: "tls-resume",
    title: "a new TLS connection per request, resuming the session before (X25519)",
    isTls: true,
    shape: { kind: "new-connections", resumes: true },
    requestCount: 3_000,
    contestants: oursAndEveryPeer,
  },
];
