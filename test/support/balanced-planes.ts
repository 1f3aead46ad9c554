import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type AdminAnswer, adminOk, createBalancedRoute } from "./admin-client.ts";
import { type DataPlaneProcess, startControlPlane, startDataPlane } from "./penstock-processes.ts";

/** A target that tells its name, and holds what is asked for under /held until the test lets it go. */
export interface HoldingTarget {
  readonly name: string;
  readonly port: number;
  readonly held: ServerResponse[];
  /** How long an answer is kept back; 0 at first. */
  delayMs: number;
}

export interface BalancedAnswer {
  readonly status: number;
  /** Name of the target that answered; "" when none did. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Asking {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  /** Address of loopback that the client has. */
  readonly from?: string;
  /** Which node is asked. Default: the first. */
  readonly node?: number;
}

/** A control plane, nodes of two workers, and an upstream named "u" of targets "a", "b" and so on, behind a route "/". */
export interface BalancedPlanes {
  readonly adminUrl: string;
  readonly nodes: readonly DataPlaneProcess[];
  readonly targets: readonly HoldingTarget[];
  /** Resolves when so many requests have come to be held, at all targets together. */
  heldCount(count: number): Promise<void>;
  /** Changes the upstream, as curl would; resolves when every node serves it. */
  setUpstream(fields: Record<string, unknown> | string): Promise<AdminAnswer>;
  /** The same of a target, by its name. */
  setTarget(name: string, fields: Record<string, unknown> | string): Promise<AdminAnswer>;
  /** Decides of a target's health, by its name. */
  setHealth(name: string, health: "healthy" | "unhealthy"): Promise<AdminAnswer>;
  /** Sends one request on a connection of its own, so that any worker may get it. */
  ask(asking?: Asking): Promise<BalancedAnswer>;
  /** Names of the targets that answered so many requests, one after the other. */
  askTimes(count: number, asking?: (i: number) => Asking): Promise<string[]>;
}

const applied = "?wait=applied&timeout=10s";

/** @param environments of the nodes, one each */
export async function startBalancedPlanes(
  targetCount: number,
  environments: readonly Record<string, string>[] = [{}],
): Promise<BalancedPlanes> {
  const { adminUrl, syncAddress } = await startControlPlane();
  const nodes = await Promise.all(environments.map((env) => startDataPlane(syncAddress, { env })));
  const waiting: (() => void)[] = [];
  const onHeld = () => {
    for (const tell of waiting.splice(0)) tell();
  };
  const targets = await Promise.all(Array.from({ length: targetCount }, (_, i) => startTarget("abcdef"[i]!, onHeld)));
  const addressOf = (name: string) => `127.0.0.1:${targets.find((target) => target.name === name)!.port}`;
  await createBalancedRoute(adminUrl, { name: "u", path: "/", targets: targets.map(({ name }) => addressOf(name)) });
  const ask = (asking: Asking = {}) => {
    const answer = askNode(nodes[asking.node ?? 0]!, asking);
    // What a failed test leaves under way is cut when the node ends, and is no failure of its own.
    answer.catch(() => {});
    return answer;
  };
  return {
    adminUrl,
    nodes,
    targets,
    async heldCount(count) {
      // Bounded by the test's own time-out.
      while (targets.reduce((sum, { held }) => sum + held.length, 0) < count)
        await new Promise<void>((resolve) => waiting.push(resolve));
    },
    setUpstream: (fields) => adminOk(adminUrl, "PATCH", `/upstreams/u${applied}`, fields),
    setTarget: (name, fields) =>
      adminOk(adminUrl, "PATCH", `/upstreams/u/targets/${addressOf(name)}${applied}`, fields),
    setHealth: (name, health) =>
      adminOk(adminUrl, "PUT", `/upstreams/u/targets/${addressOf(name)}/${health}${applied}`),
    ask,
    async askTimes(count, asking = () => ({})) {
      const names: string[] = [];
      for (let i = 0; i < count; i++) names.push((await ask(asking(i))).target);
      return names;
    },
  };
}

/** How often each name is there. */
export function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

async function startTarget(name: string, onHeld: () => void): Promise<HoldingTarget> {
  const held: ServerResponse[] = [];
  const server = createServer((incoming, response) => {
    response.setHeader("x-target", name);
    if (incoming.url === "/held") {
      held.push(response);
      return onHeld();
    }
    if (target.delayMs === 0) return void response.end(name);
    setTimeout(() => response.end(name), target.delayMs);
  });
  server.keepAliveTimeout = 120_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const target: HoldingTarget = { name, port: (server.address() as AddressInfo).port, held, delayMs: 0 };
  return target;
}

async function askNode({ proxyPort }: DataPlaneProcess, { path, headers, from }: Asking): Promise<BalancedAnswer> {
  const asked = request({
    host: "127.0.0.1",
    port: proxyPort,
    path: path ?? "/",
    agent: false,
    headers: headers ?? {},
    ...(from === undefined ? {} : { localAddress: from }),
  });
  asked.end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  await answer.toArray();
  return {
    status: answer.statusCode!,
    target: String(answer.headers["x-target"] ?? ""),
    headers: answer.headers,
  };
}
