import { type Contestant, routePrefix } from "./contestant.ts";
import type { Workload } from "./workload.ts";

/** So many different requests that no cache of routes would hold them by chance. */
const randomCount = 2_048;

/** The requests of a measurement, as they go over the wire; they are sent in turn, again and again. */
export function requestTexts(workload: Workload, { paths, routing }: Contestant): string[] {
  if (paths === "fixed") return [requestText(workload, routePrefix(0))];
  const next = randomNumbers();
  return Array.from({ length: randomCount }, () => requestText(workload, routePrefix(next() % routing.routeCount)));
}

function requestText({ requestBodyBytes, shape }: Workload, prefix: string): string {
  const hasBody = requestBodyBytes > 0;
  const isKept = shape.kind !== "new-connections";
  return [
    `${hasBody ? "POST" : "GET"} ${prefix}/answer HTTP/1.1`,
    "Host: bench.example.test",
    "User-Agent: penstock-bench",
    "Accept: */*",
    ...(hasBody ? ["Content-Type: text/plain", `Content-Length: ${requestBodyBytes}`] : []),
    ...(isKept ? ["Connection: keep-alive", "Keep-Alive: timeout=60"] : ["Connection: close"]),
    `\r\n${"x".repeat(requestBodyBytes)}`,
  ].join("\r\n");
}

/** The same numbers in every run, so that runs can be compared. Source: Numerical Recipes' 32-bit generator. */
function randomNumbers(): () => number {
  let state = 42;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Its low bits hardly vary.
    return state >>> 8;
  };
}
