import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { admin, adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { ScriptedNode } from "../support/scripted-node.ts";

/** Over Connect, with JSON. */
const explainOverGrpc = (adminUrl: string, request: Record<string, unknown>) =>
  admin(adminUrl, "POST", "/penstock.admin.v1.DiagnosticsAPI/Explain", request);

async function runExplain(...args: string[]) {
  const command = runPenstock(["explain", ...args]);
  const code = await command.ended;
  return { code, text: command.lines.join("\n") };
}

/** A port that refuses connections, and goes on doing so. */
async function refusingPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function nodeId(dataPlane: DataPlaneProcess): Promise<string> {
  return ((await (await fetch(`${dataPlane.statusUrl}/status`)).json()) as { node_id: string }).node_id;
}

async function startPlanes() {
  const controlPlane = await startControlPlane();
  const dataPlane = await startDataPlane(controlPlane.syncAddress);
  const target = await startEchoTargetProcess("t1");
  const [good, bad] = [`127.0.0.1:${target.port}`, `127.0.0.1:${await refusingPort()}`];
  const { adminUrl } = controlPlane;
  await createBalancedRoute(adminUrl, { name: "e", path: "/e", targets: [good, bad] });
  const posted = { name: "posted", paths: ["/e/long"], methods: ["POST"] };
  await adminOk(adminUrl, "POST", "/services/e-service/routes?wait=applied&timeout=10s", posted);
  return { adminUrl, dataPlane, target, good, bad };
}

describe("a request that is explained", () => {
  it("is told of alike over gRPC, REST and by the command, with an ejected endpoint and its reason", async () => {
    const { adminUrl, dataPlane, good, bad } = await startPlanes();
    // One of the first two requests meets the refusing target, which is taken out; nobody notices.
    for (let i = 0; i < 4; i++) expect((await getFresh(dataPlane.proxyPort, "/e/x")).status).toBe(200);

    const asked = { method: "GET", host: "a.test", path: "/e/long/../long?q=1" };
    const overGrpc = await explainOverGrpc(adminUrl, asked);
    expect(overGrpc.status).toBe(200);
    expect(overGrpc.body).toMatchObject({
      node: { id: await nodeId(dataPlane) },
      request: { path: "/e/long", query: "?q=1", host: "a.test", clientAddress: "127.0.0.1" },
      outcome: { kind: "KIND_PROXIED" },
      route: { name: "e-route", path: "/e", matched: "/e" },
      otherRoutes: [{ name: "posted", reasons: ["method GET is none of POST"] }],
      service: { name: "e-service" },
      pool: { name: "e", isUpstream: true, algorithm: "round-robin" },
      retry: { retries: 5, mayRepeat: true },
      picked: good,
      rewritten: { address: good, method: "GET", target: "/long?q=1", host: good },
    });
    const endpoints = overGrpc.body.endpoints as { address: string }[];
    expect(endpoints.find(({ address }) => address === good)).toMatchObject({
      isIn: true,
      share: 1,
      picked: true,
      target: good,
    });
    expect(endpoints.find(({ address }) => address === bad)).toMatchObject({
      source: "outlier",
      reason: "requests sent there came to nothing: refused",
      since: expect.stringMatching(/^20\d\d-.*Z$/),
      target: bad,
      targetId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect((endpoints.find(({ address }) => address === bad) as { isIn?: boolean }).isIn).toBeUndefined();

    const posted = await adminOk(adminUrl, "POST", "/explain", asked);
    expect(posted.body).toMatchObject({
      outcome: { kind: "proxied", status: 0 },
      picked: good,
      route: { name: "e-route" },
    });
    expect(posted.body.publication).toBe(Number(overGrpc.body.publication));
    const query = new URLSearchParams({ ...asked, header: "X-A: b" });
    const got = await adminOk(adminUrl, "GET", `/explain?${query}`);
    expect(got.body.rewritten.headers).toContainEqual({ name: "X-A", value: "b" });
    expect(got.body.endpoints).toEqual(posted.body.endpoints);

    const { code, text } = await runExplain("http://a.test/e/long?q=1", "-H", "X-A: b", "--admin", adminUrl);
    expect(code).toBe(0);
    expect(text).toContain(`It goes to ${good}.`);
    expect(text).toMatch(/^Route: e-route, by its path \/e\nOther routes:\n {2}posted {2}method GET is none of POST$/m);
    expect(text).toMatch(new RegExp(`^=> +${good} +${good} +100 +100 % +0 +in`, "m"));
    expect(text).toMatch(
      new RegExp(`^.. +${bad} .* out \\(ejected\\) +outlier +requests sent there came to nothing: refused`, "m"),
    );
    expect(text).toContain("\n  GET /long?q=1 HTTP/1.1\n");
    expect(text).toContain("\n  X-A: b\n");
  });

  it("has the answer that the node would give by itself, and exit code 1", async () => {
    const { adminUrl, dataPlane } = await startPlanes();
    const asked = { path: "/nowhere", node: await nodeId(dataPlane) };
    const { body } = await adminOk(adminUrl, "POST", "/explain", asked);
    expect(body).toMatchObject({
      outcome: { kind: "answered", status: 404, error: "no_route", message: "no Route matched with those values" },
      route: null,
      other_routes: [
        { name: "e-route", reasons: ["path /nowhere is under none of /e"] },
        { name: "posted", reasons: ["path /nowhere is under none of /e/long", "method GET is none of POST"] },
      ],
      picked: "",
    });
    const { code, text } = await runExplain("/nowhere", "--admin", adminUrl, "--node", asked.node);
    expect(code).toBe(1);
    expect(text).toContain("The node answers 404 by itself: no_route: no Route matched with those values");
    const json = await runExplain("DELETE", "/a%00", "--json", "--admin", adminUrl);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.text)).toMatchObject({
      outcome: { status: 400, error: "bad_request", detail: "encoded_nul" },
    });
    // Nothing of all this was a request.
    const metrics = await (await fetch(`${dataPlane.statusUrl}/metrics`)).text();
    expect(metrics).toMatch(/^penstock_requests_total 0$/m);
  });

  it("is refused with a reason where nobody can say, and with every field that is none", async () => {
    const { adminUrl, syncAddress } = await startControlPlane();
    const none = await admin(adminUrl, "GET", "/explain?path=/");
    expect([none.status, none.body.message]).toEqual([503, "no node is connected: there is nobody to ask"]);
    expect((await explainOverGrpc(adminUrl, {})).body).toMatchObject({ code: "failed_precondition" });
    const unknown = await admin(adminUrl, "GET", "/explain?path=/&node=x");
    expect([unknown.status, unknown.body.message]).toEqual([404, 'there is no node "x"']);
    expect((await explainOverGrpc(adminUrl, { node: "x" })).body).toMatchObject({ code: "not_found" });

    const old = new ScriptedNode(syncAddress);
    onTestFinished(() => old.close());
    old.hello("old-node", undefined, ["query.drained"]);
    await old.ackNextSnapshot();
    const tooOld = await admin(adminUrl, "GET", "/explain?path=/&node=old-node");
    expect([tooOld.status, tooOld.body.message]).toEqual([
      503,
      expect.stringMatching(/^node old-node \(.*\) has version .*, which cannot explain requests$/),
    ]);
    const noneIsNew = await admin(adminUrl, "GET", "/explain?path=/");
    expect(noneIsNew.body.message).toBe("no connected node has a version that can explain requests");

    const bad = { method: "G T", path: "x", headers: { "a b": "1", host: "y" }, client_address: "here", color: "red" };
    const refused = await admin(adminUrl, "POST", "/explain", bad);
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({
      code: 2,
      name: "schema violation",
      fields: {
        method: "must be a token such as GET",
        path: 'must begin with "/"',
        "headers.0.name": "must be a token such as X-User",
        "headers.1.name": "host has a field of its own",
        client_address: "must be an IP address",
        color: "unknown field",
      },
    });
    const { code, text } = await runExplain("G T", "/", "--from", "here", "--admin", adminUrl);
    expect([code, text]).toEqual([
      2,
      "penstock explain: method: must be a token such as GET\npenstock explain: client_address: must be an IP address",
    ]);
  });

  it("tells of a target whose name has no address", async () => {
    const { adminUrl } = await startPlanes();
    await createBalancedRoute(adminUrl, { name: "lost", path: "/lost", targets: ["nowhere.invalid:80"] });
    const { body } = await adminOk(adminUrl, "GET", "/explain?path=/lost");
    expect(body).toMatchObject({
      outcome: { status: 503, error: "name_resolution_failed" },
      pool: { name: "lost", empty_because: "unresolved" },
      endpoints: [
        {
          address: "",
          target: "nowhere.invalid:80",
          is_in: false,
          source: "dns",
          reason: expect.stringMatching(/^the name has no address/),
        },
      ],
    });
  });
});
