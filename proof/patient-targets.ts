/**
 * What must not be taken for a fault, at its real length: long polls of 30 s, event streams that are silent for 30 s, an
 * endpoint that always takes 3 s beside one that takes a millisecond, and one URL that answers 503, all beside 200
 * requests/s of ordinary traffic. No endpoint may be taken out, and nothing be sent twice.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createBalancedRoute } from "../test/support/admin-client.ts";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import { startRequestLoad } from "../test/support/request-load.ts";
import type { Figure } from "./prove.ts";

const pollMs = 30_000;
const slowMs = 3_000;
const pollCount = 12;
const streamCount = 12;
const badCount = 200;

/** How often each URL reached a target. */
const arrived = new Map<string, number>();

function answer(request_: IncomingMessage, response: ServerResponse, isSlow: boolean): void {
  const url = request_.url ?? "/";
  // A ping asks whether the server is there, and nothing else.
  if (url === "*") return void response.end();
  arrived.set(url, (arrived.get(url) ?? 0) + 1);
  const kind = url.split("/")[1];
  const ok = () => void response.end("ok");
  if (kind === "poll") setTimeout(ok, pollMs);
  else if (kind === "bad") response.writeHead(503).end("bad");
  else if (kind === "events") {
    response.write(": begun\n\n");
    setTimeout(ok, pollMs);
  } else if (kind === "uneven" && isSlow) setTimeout(ok, slowMs);
  else ok();
}

async function openTarget(isSlow: boolean) {
  const server = createServer({ noDelay: true }, (request_, response) => answer(request_, response, isSlow));
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** @returns the status; 0 when no whole answer came */
function ask(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({ port, host: "127.0.0.1", path, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", () => resolve(0));
    });
    sent.on("error", () => resolve(0));
    sent.end();
  });
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const [fast, slow] = [await openTarget(false), await openTarget(true)];
  const planes = await startProofPlanes([fast.port, slow.port], { PENSTOCK_WORKERS: "2" });
  const figures: Figure[] = [];
  const figure = (name: string, value: number, atMost: number | null = 0) =>
    figures.push({ name, value, unit: "requests", atMost });
  const loads: { stop(): Promise<{ failed: number }> }[] = [];
  try {
    const targets = [fast, slow].map(({ port }) => `127.0.0.1:${port}`);
    await createBalancedRoute(planes.adminUrl, { name: "uneven", path: "/q", targets });
    const load = (path: string, requestsPerSecond: number, connectionCount: number) =>
      startRequestLoad({
        ...{ port: planes.proxyPort, path: numbered(path), requestsPerSecond, connectionCount },
        clientTimeoutMs: 60_000,
      });
    // Ordinary answers on the route of the polls and streams, so that there is much to compare them with.
    loads.push(load("/p/plain", 200, 16), load("/q/uneven", 20, 64));
    const paths = [
      ...Array.from({ length: pollCount }, (_, i) => `/p/poll/${i}`),
      ...Array.from({ length: streamCount }, (_, i) => `/p/events/${i}`),
    ];
    await new Promise((resolve) => setTimeout(resolve, slowMs));
    progress("the polls and streams begin");
    const waiting = Promise.all(paths.map((path) => ask(planes.proxyPort, path)));
    const bad = await Promise.all(Array.from({ length: badCount }, (_, i) => ask(planes.proxyPort, `/p/bad/${i}`)));
    const statuses = await waiting;
    const failed = (await Promise.all(loads.splice(0).map((each) => each.stop()))).map((outcome) => outcome.failed);
    const counted = await planes.counters();
    for (const line of planes.dataPlane.lines.filter((each) => each.includes("ejected"))) progress(line);
    const twice = [...arrived].filter(([path, count]) => count > 1 && !path.includes("/bad/"));
    figure("long polls and streams that failed", statuses.filter((status) => status !== 200).length);
    figure("ordinary requests, and those that an endpoint takes 3 s for, that failed", failed[0]! + failed[1]!);
    figure(
      "requests to the bad URL that were not answered as the target says",
      bad.filter((each) => each !== 503).length,
    );
    figure("requests that arrived twice", twice.length);
    figure("endpoints taken out", counted["ejections"]!);
    figure("requests that arrived", arrived.size, null);
    return figures;
  } finally {
    await Promise.all(loads.map((each) => each.stop()));
    await planes.stop();
    for (const target of [fast, slow]) target.close();
  }
}

function numbered(path: string): () => string {
  let number = 0;
  return () => `${path}/${number++}`;
}
