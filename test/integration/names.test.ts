import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Answer } from "dns-packet";
import { describe, expect, it, onTestFinished } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  addressRecords,
  answerFrom,
  type ScriptedAnswer,
  serviceRecords,
  startDnsServer,
  type TestDnsServer,
} from "../support/dns-server.ts";
import {
  type ControlPlaneProcess,
  type DataPlaneProcess,
  startControlPlane,
  startDataPlane,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { type RunningLoad, startRequestLoad } from "../support/request-load.ts";

interface NamedTarget {
  readonly port: number;
  /** Answers that were asked for under /held and wait to be let go. */
  readonly held: ServerResponse[];
  /** Hosts that requests were sent for. */
  readonly hosts: string[];
  /** Resolves when a request for /held has come. */
  readonly isHeld: Promise<void>;
  close(): void;
}

/** A target on an address of loopback that tells its name. */
async function startTarget(name: string, host: string, port = 0): Promise<NamedTarget> {
  const held: ServerResponse[] = [];
  const hosts: string[] = [];
  let tellHeld = () => {};
  const isHeld = new Promise<void>((resolve) => (tellHeld = resolve));
  const server = createServer((request, response) => {
    hosts.push(request.headers.host ?? "");
    response.setHeader("x-target", name);
    if (request.url !== "/held") return response.end(name);
    held.push(response);
    return tellHeld();
  });
  server.keepAliveTimeout = 120_000;
  server.listen(port, host);
  await once(server, "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  onTestFinished(close);
  return { port: (server.address() as AddressInfo).port, held, hosts, isHeld, close };
}

/** Two targets at one port, on addresses of their own. */
async function startPair(): Promise<[NamedTarget, NamedTarget]> {
  const first = await startTarget("first", "127.0.0.1");
  return [first, await startTarget("second", "127.0.0.2", first.port)];
}

interface Planes {
  readonly dns: TestDnsServer;
  readonly controlPlane: ControlPlaneProcess;
  readonly dataPlane: DataPlaneProcess;
}

async function startPlanes(records: readonly Answer[], env: Record<string, string> = {}): Promise<Planes> {
  const dns = await startDnsServer(answerFrom(records));
  onTestFinished(() => dns.close());
  const controlPlane = await startControlPlane();
  const dataPlane = await startDataPlane(controlPlane.syncAddress, {
    env: {
      PENSTOCK_DNS_SERVERS: dns.address,
      PENSTOCK_DNS_SEARCH: ".",
      PENSTOCK_DNS_TIMEOUT: "200ms",
      PENSTOCK_DNS_TRIES: "1",
      ...env,
    },
  });
  return { dns, controlPlane, dataPlane };
}

function startLoad({ dataPlane }: Planes, path: string): RunningLoad {
  return startRequestLoad({ port: dataPlane.proxyPort, path, requestsPerSecond: 300, connectionCount: 8 });
}

/** Resolves when the target has answered so many requests of the load. */
async function answeredBy(load: RunningLoad, target: string, count: number): Promise<void> {
  // Bounded by the test's own time-out.
  while ((load.outcome.perTarget.get(target) ?? 0) < count)
    await load.finished(load.outcome.ok + load.outcome.failed + 1);
}

interface ShownName {
  readonly name: string;
  readonly source: string | null;
  readonly addresses: readonly string[];
  readonly last_error: string | null;
  readonly failing_for_ms: number | null;
}

async function shownNames({ dataPlane }: Planes): Promise<ShownName[]> {
  return ((await (await fetch(`${dataPlane.statusUrl}/names`)).json()) as { names: ShownName[] }).names;
}

async function metric({ dataPlane }: Planes, name: string): Promise<number> {
  const text = await (await fetch(`${dataPlane.statusUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}

describe("a name that changes its address (row 37)", () => {
  it("costs no request: the new address is used, what is under way on the old one is finished", async () => {
    const [first, second] = await startPair();
    const planes = await startPlanes(addressRecords("web.test", ["127.0.0.1"], 1));
    const { dns, controlPlane, dataPlane } = planes;
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets: [`web.test:${first.port}`] });
    const load = startLoad(planes, "/x");
    await answeredBy(load, "first", 100);
    const underWay = getFresh(dataPlane.proxyPort, "/held");
    await first.isHeld;

    dns.answer = answerFrom(addressRecords("web.test", ["127.0.0.2"], 1));
    await answeredBy(load, "second", 100);
    const byFirst = load.outcome.perTarget.get("first");
    await answeredBy(load, "second", 300);
    expect(load.outcome.perTarget.get("first")).toBe(byFirst);
    expect(await shownNames(planes)).toMatchObject([
      { name: "web.test", source: "A", addresses: ["127.0.0.2"], last_error: null },
    ]);

    first.held[0]!.end("first, at last");
    expect(await underWay).toMatchObject({ status: 200, isCleanEnd: true });
    expect((await underWay).body).toContain("first, at last");
    first.close();
    await answeredBy(load, "second", 400);
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);
    expect(await metric(planes, "penstock_name_changes_total")).toBe(2);
    expect(second.held).toEqual([]);
  });

  it("costs no request when the old address refuses at once: the name is looked up early", async () => {
    const [first] = await startPair();
    // An hour: nothing but the failing connections makes the node ask again.
    const planes = await startPlanes(addressRecords("web.test", ["127.0.0.1"], 3_600));
    const { dns, controlPlane } = planes;
    const other = await startTarget("other", "127.0.0.1");
    await createBalancedRoute(controlPlane.adminUrl, {
      ...{ name: "web", path: "/" },
      targets: [`web.test:${first.port}`, `127.0.0.1:${other.port}`],
    });
    const load = startLoad(planes, "/x");
    await answeredBy(load, "first", 50);
    dns.answer = answerFrom(addressRecords("web.test", ["127.0.0.2"], 3_600));
    first.close();
    await answeredBy(load, "second", 50);
    expect((await load.stop()).failures).toEqual([]);
  });
});

describe("a DNS that cannot say (row 38)", () => {
  // In an order in which no failure follows another one of its kind: that would be waited for ever longer.
  const outages: { name: string; scripted: ScriptedAnswer; error: RegExp }[] = [
    { name: "SERVFAIL", scripted: { rcode: 2 }, error: /SERVFAIL/ },
    { name: "empty answer", scripted: {}, error: /no address/ },
    { name: "timeout", scripted: { isSilent: true }, error: /timeout/ },
    { name: "no such name", scripted: { rcode: 3 }, error: /no such name/ },
    { name: "garbage", scripted: { raw: () => Buffer.from("garbage") }, error: /timeout/ },
  ];

  it("costs no request, whatever it does instead of answering, and is followed again after it", async () => {
    const [first] = await startPair();
    const planes = await startPlanes(addressRecords("web.test", ["127.0.0.1"], 1), {
      PENSTOCK_DNS_NOT_FOUND_MAX: "1s",
    });
    const { dns, controlPlane } = planes;
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets: [`web.test:${first.port}`] });
    const load = startLoad(planes, "/x");
    await answeredBy(load, "first", 50);
    for (const { scripted, error } of outages) {
      dns.answer = () => scripted;
      // Both families, twice.
      await dns.answered(dns.asked.length + 4);
      const shown = await shownNames(planes);
      expect(shown).toMatchObject([
        { source: "A", addresses: ["127.0.0.1"], last_error: expect.stringMatching(error) },
      ]);
      expect(await metric(planes, "penstock_names_stale")).toBe(1);
    }
    await answeredBy(load, "first", (load.outcome.perTarget.get("first") ?? 0) + 50);
    dns.answer = answerFrom(addressRecords("web.test", ["127.0.0.2"], 1));
    await answeredBy(load, "second", 50);
    expect((await load.stop()).failures).toEqual([]);
    expect(await shownNames(planes)).toMatchObject([{ last_error: null, failing_for_ms: null }]);
    expect(await metric(planes, "penstock_names_stale")).toBe(0);
  });

  it("leaves a name that it never resolved without targets, and says so, until it is there", async () => {
    const [first] = await startPair();
    const planes = await startPlanes([]);
    const { dns, controlPlane, dataPlane } = planes;
    dns.answer = () => ({ rcode: 2 });
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets: [`web.test:${first.port}`] });
    await dataPlane.jsonLine((line) => line["msg"] === "name not resolved" && line["name"] === "web.test");
    expect((await getFresh(dataPlane.proxyPort, "/")).status).toBe(503);
    expect(await metric(planes, "penstock_names_unresolved")).toBe(1);
    dns.answer = answerFrom(addressRecords("web.test", ["127.0.0.1"]));
    await dataPlane.jsonLine((line) => line["msg"] === "name resolved again");
    const load = startLoad(planes, "/");
    await answeredBy(load, "first", 1);
    await load.stop();
  });
});

describe("SRV records", () => {
  it("give port, weight and, with use_srv_name, the Host of each target", async () => {
    const [first, second] = [await startTarget("first", "127.0.0.1"), await startTarget("second", "127.0.0.1")];
    const places = [
      { target: "a.test", port: first.port, priority: 1, weight: 3 },
      { target: "b.test", port: second.port, priority: 1, weight: 1 },
      { target: "never.test", port: 1, priority: 2, weight: 100 },
    ];
    const zone = answerFrom([
      ...serviceRecords("_http._tcp.web.test", places),
      ...addressRecords("a.test", ["127.0.0.1"]),
      ...addressRecords("b.test", ["127.0.0.1"]),
    ]);
    const planes = await startPlanes([]);
    const { dns, controlPlane, dataPlane } = planes;
    // Too long for a datagram, as far as this server is concerned.
    dns.answer = (question) => ({ ...zone(question), isTruncated: question.type === "SRV" });
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets: ["_http._tcp.web.test:80"] });
    const update = { use_srv_name: true };
    const { headers } = await adminOk(
      controlPlane.adminUrl,
      "PATCH",
      "/upstreams/web?wait=applied&timeout=10s",
      update,
    );
    expect(headers.get("penstock-warning")).toBeNull();

    const answers = await Promise.all(Array.from({ length: 40 }, () => getFresh(dataPlane.proxyPort, "/x")));
    expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
    expect([first.hosts.length, second.hosts.length]).toEqual([30, 10]);
    expect(new Set([...first.hosts, ...second.hosts])).toEqual(
      new Set([`a.test:${first.port}`, `b.test:${second.port}`]),
    );
    expect(dns.asked.filter(({ transport }) => transport === "tcp").map(({ type }) => type)).toEqual(["SRV"]);
    expect(dns.asked.some(({ name }) => name === "never.test")).toBe(false);
    expect((await shownNames(planes)).map(({ name, source }) => [name, source])).toEqual([
      ["_http._tcp.web.test", "SRV"],
      ["a.test", "A"],
      ["b.test", "A"],
    ]);
  });
});

describe("a name with addresses of both families", () => {
  it("is reached by the one that connects, as one target", async () => {
    const only = await startTarget("only", "::1").catch(() => null);
    if (only === null) return console.log("skipped: this machine has no IPv6 on loopback");
    const planes = await startPlanes(addressRecords("web.test", ["127.0.0.1", "::1"]));
    const { controlPlane } = planes;
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets: [`web.test:${only.port}`] });
    const load = startLoad(planes, "/x");
    await answeredBy(load, "only", 50);
    expect((await load.stop()).failures).toEqual([]);
    expect(await shownNames(planes)).toMatchObject([{ source: "AAAA", addresses: ["::1"] }]);
  });
});

describe("weight_basis", () => {
  it("has the addresses of a target share its weight", async () => {
    const [first] = await startPair();
    const third = await startTarget("third", "127.0.0.3", first.port);
    const planes = await startPlanes([
      ...addressRecords("pair.test", ["127.0.0.1", "127.0.0.2"]),
      ...addressRecords("one.test", ["127.0.0.3"]),
    ]);
    const { controlPlane, dataPlane } = planes;
    const targets = [`pair.test:${first.port}`, `one.test:${first.port}`];
    await createBalancedRoute(controlPlane.adminUrl, { name: "web", path: "/", targets });
    const update = { weight_basis: "per_target" };
    await adminOk(controlPlane.adminUrl, "PATCH", "/upstreams/web?wait=applied&timeout=10s", update);
    await Promise.all(Array.from({ length: 40 }, () => getFresh(dataPlane.proxyPort, "/x")));
    expect([first.hosts.length, third.hosts.length]).toEqual([10, 20]);
  });
});

describe("a service with a host of its own", () => {
  it("has a health that says what the nodes see of it: a name without addresses, one that refuses", async () => {
    const planes = await startPlanes(addressRecords("half.test", ["127.0.0.1", "127.0.0.2"]));
    const { adminUrl } = planes.controlPlane;
    const target = await startTarget("first", "127.0.0.1");
    const create = (name: string) =>
      adminOk(adminUrl, "POST", "/services?wait=applied", { name, host: `${name}.test`, port: target.port });
    for (const name of ["half", "none"]) await create(name);
    await adminOk(adminUrl, "POST", "/services/half/routes?wait=applied", { name: "half", paths: ["/half"] });
    // Whoever meets the address that refuses is answered by the other.
    for (let i = 0; i < 2; i++) expect((await getFresh(planes.dataPlane.proxyPort, "/half")).status).toBe(200);
    const health = async (name: string) => (await adminOk(adminUrl, "GET", `/services/${name}/health`)).body.data;
    const once = async (name: string, isSo: (data: { health: string; addresses: { health: string }[] }) => boolean) => {
      for (;;) {
        const data = await health(name);
        if (isSo(data)) return data;
      }
    };
    const half = await once("half", ({ addresses }) => addresses.some((one) => one.health === "UNHEALTHY"));
    expect([half.health, half.addresses.length]).toEqual(["HEALTHY", 2]);
    expect(half.addresses[1]).toMatchObject({ ip: "127.0.0.2", healthy_on: "0 of 1", nodes: [{ source: "outlier" }] });
    const none = await once("none", (data) => data.health === "DNS_ERROR");
    expect(none).toMatchObject({ addresses: [], unresolved: [{ source: "dns", reason: "the name has no address" }] });
    await adminOk(adminUrl, "PATCH", "/services/none?wait=applied", { host: "127.0.0.1" });
    await once("none", ({ addresses }) => addresses.length === 1);
  });
});

describe("a service whose host does not resolve where the control plane runs", () => {
  it("is written, over REST and over RPC, and the answer warns of it", async () => {
    const { adminUrl } = await startControlPlane();
    // Longer than a label may be: no DNS is asked.
    const host = `${"a".repeat(64)}.test`;
    const warning = `'${host}' does not resolve where the control plane runs (ENOTFOUND); nodes resolve names by themselves, and go by what they find`;
    const { headers } = await adminOk(adminUrl, "POST", "/services", { name: "rest", host });
    expect(headers.get("penstock-warning")).toBe(`host: ${warning}`);
    const created = await adminOk(adminUrl, "POST", "/penstock.admin.v1.ServicesAPI/CreateService", {
      service: { name: "rpc", host },
    });
    expect(created.body.warnings).toEqual([{ field: "host", message: warning }]);
    const known = await adminOk(adminUrl, "PATCH", "/services/rest", { host: "127.0.0.1" });
    expect(known.headers.get("penstock-warning")).toBeNull();
  });
});
