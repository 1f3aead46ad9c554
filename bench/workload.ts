/** A kind of load that is measured. Its requests go to `/bench/...`, which every subject routes to the targets. */
export interface Workload {
  readonly name: string;
  readonly title: string;
  /** One request as it goes over the wire. */
  readonly request: string;
  /** Length of the answer's body, bytes. */
  readonly answerBytes: number;
  readonly connectionCount: number;
  /** Round-robin weights of the two targets. */
  readonly targetWeights: readonly [number, number];
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
  "x-real-ip",
  "via",
] as const;

/** Hop-by-hop fields of the request that must not arrive at the target. */
export const strippedFields = ["keep-alive"] as const;

export const workloads: readonly Workload[] = [
  {
    name: "W1",
    title: "keep-alive GET, 100-byte answer, weighted round-robin over two targets, forwarded headers, one route",
    request: [
      "GET /bench/answer HTTP/1.1",
      "Host: bench.example.test",
      "User-Agent: penstock-bench",
      "Accept: */*",
      "Connection: keep-alive",
      "Keep-Alive: timeout=60",
      "\r\n",
    ].join("\r\n"),
    answerBytes: 100,
    connectionCount: 16,
    targetWeights: [2, 1],
  },
];
