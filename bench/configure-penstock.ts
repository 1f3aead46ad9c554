import { benchServerName } from "./bench-certificate.ts";
import { routePrefix } from "./contestant.ts";
import type { SubjectSetup } from "./subject.ts";

/** Writes under way at once: the store commits together what waits together. */
const writeCount = 32;

type RoutedSetup = Pick<SubjectSetup, "contestant" | "certificate" | "targetPorts" | "targetWeights">;

/**
 * Writes the contestant's state over REST.
 * @param startNode called before the last write, which waits until the node serves it, and with it all before
 */
export async function configurePenstock(
  adminUrl: string,
  setup: RoutedSetup,
  startNode: () => Promise<void>,
): Promise<void> {
  const { routing } = setup.contestant;
  if (setup.certificate !== null) {
    const { certPem: cert, keyPem: key } = setup.certificate;
    await create(adminUrl, "/certificates?wait=none", { cert, key, snis: [benchServerName] });
  }
  const names = Array.from({ length: routing.upstreamCount }, (_, i) => `bench-${i}`);
  await inParallel(names, async (name) => {
    await create(adminUrl, "/upstreams?wait=none", { name, ...setup.contestant.upstream });
    for (const [i, port] of setup.targetPorts.entries()) {
      const target = { target: `127.0.0.1:${port}`, weight: setup.targetWeights[i] };
      await create(adminUrl, `/upstreams/${name}/targets?wait=none`, target);
    }
    await create(adminUrl, "/services?wait=none", { name, host: name, protocol: "http" });
  });
  const createRoute = (route: number, wait: string) =>
    create(adminUrl, `/services/${names[route % names.length]}/routes?${wait}`, {
      name: `bench-${route}`,
      paths: [routePrefix(route)],
    });
  const routes = Array.from({ length: routing.routeCount }, (_, i) => i);
  await inParallel(routes.slice(1), (route) => createRoute(route, "wait=none"));
  await startNode();
  await createRoute(0, "wait=applied&timeout=30s");
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const takeTurns = async () => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: writeCount }, takeTurns));
}

async function create(adminUrl: string, path: string, body: unknown): Promise<void> {
  const response = await fetch(adminUrl + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`POST ${path}: ${response.status} ${text}`);
}
