import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { adminOk } from "../support/admin-client.ts";
import { startControlPlane, startDataPlane } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

/** A target that answers its health check as the test says, and everything else with its name. */
async function startCheckedTarget(name: string) {
  const target = { name, port: 0, healthStatus: 200, requestCount: 0, probeCount: 0 };
  const server = createServer((request, response) => {
    const isProbe = request.url === "/up";
    if (isProbe) target.probeCount++;
    else target.requestCount++;
    response.writeHead(isProbe ? target.healthStatus : 200, { "content-length": 0, "x-target": name }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return Object.assign(target, { port: (server.address() as AddressInfo).port });
}

const wait = "?wait=applied&timeout=10s";

/** Both planes, and a route /p to targets under these health checks. */
async function startChecked(healthchecks: object, targetCount = 2) {
  const controlPlane = await startControlPlane();
  const dataPlane = await startDataPlane(controlPlane.syncAddress);
  const targets = await Promise.all(Array.from({ length: targetCount }, (_, i) => startCheckedTarget(`t${i + 1}`)));
  const { adminUrl } = controlPlane;
  await adminOk(adminUrl, "POST", `/upstreams${wait}`, { name: "u", healthchecks });
  for (const { port } of targets) {
    await adminOk(adminUrl, "POST", `/upstreams/u/targets${wait}`, { target: `127.0.0.1:${port}` });
  }
  await adminOk(adminUrl, "POST", `/services${wait}`, { name: "s", host: "u" });
  await adminOk(adminUrl, "POST", `/services/s/routes${wait}`, { name: "r", paths: ["/p"] });
  const turned = (word: "healthy" | "unhealthy", port: number) =>
    dataPlane.jsonLine((line) => line["msg"] === `endpoint ${word}` && line["endpoint"] === `127.0.0.1:${port}`);
  const ask = async (count: number) => {
    const answers = [];
    for (let i = 0; i < count; i++) answers.push(await getFresh(dataPlane.proxyPort, "/p/x"));
    return answers;
  };
  const endpoints = async () => {
    const page = (await (await fetch(`${dataPlane.statusUrl}/endpoints`)).json()) as { endpoints: object[] };
    return page.endpoints;
  };
  return { adminUrl, dataPlane, targets, turned, ask, endpoints };
}

const active = {
  type: "http",
  http_path: "/up",
  healthy: { interval: 0.1, successes: 1 },
  unhealthy: { interval: 0.1, http_failures: 2 },
};

describe("active health checks", () => {
  it("take targets out and bring them back; all down is told at once, without an attempt", async () => {
    const { adminUrl, targets, turned, ask, endpoints } = await startChecked({ active });
    const [first, second] = [targets[0]!, targets[1]!];
    first.healthStatus = 503;
    await turned("unhealthy", first.port);
    const [firstCount, secondCount] = [first.requestCount, second.requestCount];
    expect((await ask(10)).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect([first.requestCount - firstCount, second.requestCount - secondCount]).toEqual([0, 10]);

    // What is known of an endpoint outlives changes of the configuration.
    await adminOk(adminUrl, "PATCH", `/upstreams/u${wait}`, { tags: ["changed"] });
    expect(await endpoints()).toMatchObject([
      { address: `127.0.0.1:${first.port}`, healthy: false, source: "active", reason: "GET /up was answered with 503" },
      { address: `127.0.0.1:${second.port}`, healthy: true },
    ]);

    second.healthStatus = 500;
    await turned("unhealthy", second.port);
    const allDown = await ask(3);
    expect(allDown.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(allDown[0]!.body).toContain("failure to get a peer from the ring-balancer");
    expect([first.requestCount - firstCount, second.requestCount - secondCount]).toEqual([0, 10]);

    first.healthStatus = 200;
    await turned("healthy", first.port);
    expect((await ask(2)).map(({ status }) => status)).toEqual([200, 200]);
    expect(first.requestCount - firstCount).toBe(2);
  });

  it("probe an address once for two upstreams", async () => {
    const { adminUrl, targets, endpoints, dataPlane } = await startChecked({ active }, 1);
    await adminOk(adminUrl, "POST", `/upstreams${wait}`, { name: "u2", healthchecks: { active } });
    await adminOk(adminUrl, "POST", `/upstreams/u2/targets${wait}`, { target: `127.0.0.1:${targets[0]!.port}` });
    expect(await endpoints()).toHaveLength(2);
    const metrics = await (await fetch(`${dataPlane.statusUrl}/metrics`)).text();
    expect(metrics).toMatch(/^penstock_health_probers 1$/m);
    expect(metrics).toMatch(
      /^penstock_endpoint_healthy\{upstream="u2",target="127.0.0.1:\d+",address="127.0.0.1:\d+"\} 1$/m,
    );
  });
});

describe("a target that is a port of the node itself", () => {
  it("is refused, and what was served goes on", async () => {
    const { adminUrl, dataPlane, ask } = await startChecked({}, 1);
    const target = `127.0.0.1:${dataPlane.proxyPort}`;
    // Whoever knows better than the node may refuse it first.
    const answer = await fetch(`${adminUrl}/upstreams/u/targets`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ target }),
    });
    expect([201, 400]).toContain(answer.status);
    if (answer.status === 201) {
      const refused = await dataPlane.jsonLine((line) => line["msg"] === "snapshot refused");
      expect(refused["refusal"]).toMatchObject({ entityKind: "target", entityName: target, field: "target" });
    }
    expect((await ask(1))[0]!.status).toBe(200);
  });
});
