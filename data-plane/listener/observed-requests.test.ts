import { afterEach, describe, expect, it } from "vitest";
import { RouteCell, routeCells, targetCells } from "../proxy/traffic-metrics.ts";
import { SeriesTotals } from "../telemetry/series-table.ts";
import {
  answerText,
  closedPort,
  get,
  openBackend,
  openRawBackend,
  post,
  Rig,
  type RigOptions,
  until,
} from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

type Line = Readonly<Record<string, unknown>>;

/** A proxy whose access lines are gathered, in front of targets that answer with the path they were asked for. */
async function open(options: Partial<RigOptions> = {}, sampleRatio = 1) {
  const target = await openBackend((request, socket) => void socket.write(answerText(request.head.split(" ")[1]!)));
  let text = "";
  const send = (lines: Uint8Array) => {
    text += Buffer.from(lines).toString("latin1");
  };
  const routes = [{ name: "r", paths: ["/"] }];
  const server = { ...options.server, accessLog: { sampleRatio, send } };
  const proxy = await Rig.open({ ports: [target.port], routes, service: { name: "s" }, ...options, server });
  opened.push(target, proxy);
  const lines = async (count: number): Promise<Line[]> => {
    await until(() => {
      proxy.server.engine.accessLog!.flush();
      return text.split("\n").length > count;
    });
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  return { target, proxy, lines };
}

describe("the access log", () => {
  it("has a line for each request, with all there is to say", async () => {
    const { target, proxy, lines } = await open();
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const text = get('/a"b/../c?d=\\', `User-Agent: x\u009b31m"\r\ntraceparent: ${trace}\r\n`);
    const answer = await proxy.ask(text);
    const [line] = await lines(1);
    expect(line).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      request_id: /^X-Kong-Request-Id: (\w+)/m.exec(answer.head)![1],
      client: "127.0.0.1",
      method: "GET",
      host: "a.test",
      path: '/a"b/../c?d=\\',
      status: 200,
      bytes_in: text.length,
      bytes_out: answer.head.length + answer.body.length,
      duration_ms: expect.any(Number),
      route: "r",
      service: "s",
      upstream: "u",
      attempts: [
        {
          address: `127.0.0.1:${target.port}`,
          outcome: "ok",
          ms: expect.any(Number),
          connect_ms: expect.any(Number),
          wait_ms: expect.any(Number),
        },
      ],
      failure: "",
      trace_id: "0af7651916cd43dd8448eb211c80319c",
      user_agent: 'x\u009b31m"',
    });
  });

  it("names every attempt and how it went", async () => {
    const refusing = await closedPort();
    const target = await openBackend((_, socket) => void socket.write(answerText("ok")));
    opened.push(target);
    const { proxy, lines } = await open({ ports: [refusing, target.port] });
    await proxy.ask(get("/"));
    await proxy.ask(get("/"));
    const retried = (await lines(2)).find((line) => (line["attempts"] as unknown[]).length === 2)!;
    expect(retried).toMatchObject({
      status: 200,
      failure: "",
      attempts: [
        { address: `127.0.0.1:${refusing}`, outcome: "connection_refused" },
        { address: `127.0.0.1:${target.port}`, outcome: "ok" },
      ],
    });
  });

  it.each([
    {
      name: "no route",
      text: "GET /x HTTP/1.1\r\nHost: b\r\n\r\n",
      want: { status: 404, failure: "destination_not_found" },
    },
    {
      name: "a broken head",
      text: "GET /x HTTP/1.1\r\nHost : b\r\n\r\n",
      want: { status: 400, failure: "http_request_error", path: "" },
    },
    { name: "a refused path", text: get("/%00"), want: { status: 400, path: "/%00" } },
    {
      name: "a broken body",
      text: "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      want: { status: 400, failure: "http_request_error", route: "r", attempts: [{ outcome: "http_request_error" }] },
    },
  ])("has a line for $name although nothing else is wanted", async ({ text, want }) => {
    const { proxy, lines } = await open({ routes: [{ name: "r", hosts: ["a.test"] }] }, 0);
    await proxy.ask(get("/"));
    await proxy.ask(text);
    const all = await lines(1);
    expect(all).toHaveLength(1);
    expect(all[0]).toMatchObject(want);
  });

  it("tells a client that left from a target that broke off", async () => {
    const silent = await openRawBackend((socket) => socket.on("data", () => {}));
    const breaking = await openRawBackend((socket) => {
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", () => socket.destroy()));
    });
    opened.push(silent, breaking);
    const first = await open({ ports: [silent.port] });
    const leaving = first.proxy.client().send(get("/leaves"));
    await until(() => silent.sockets.size === 1);
    leaving.socket.resetAndDestroy();
    expect((await first.lines(1))[0]).toMatchObject({
      status: 0,
      bytes_out: 0,
      failure: "client_disconnected",
      attempts: [{ outcome: "client_disconnected" }],
    });
    const second = await open({ ports: [breaking.port] });
    await second.proxy.client().send(get("/breaks")).closed;
    expect((await second.lines(1))[0]).toMatchObject({
      status: 200,
      failure: "connection_terminated",
      attempts: [{ outcome: "connection_terminated" }],
    });
  });

  it.each([
    { name: "a length", answer: "Content-Length: 4\r\n\r\nbody" },
    { name: "chunks and trailers", answer: "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n" },
    { name: "its connection's end", answer: "\r\nbody" },
  ])("counts the bytes that went both ways, with an answer framed by $name", async ({ answer }) => {
    const target = await openBackend((_, socket) => {
      socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n${answer}`);
      if (answer.startsWith("\r\n")) socket.end();
    });
    opened.push(target);
    const { proxy, lines } = await open({ ports: [target.port] });
    const request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    const received = await proxy.client().send(request).rest();
    expect(received).toContain("body");
    expect((await lines(1))[0]).toMatchObject({ bytes_in: request.length, bytes_out: received.length });
  });

  it("has as many lines as there were requests, whatever they contain", async () => {
    const { proxy, lines } = await open();
    const client = proxy.client();
    const count = 300;
    for (let i = 0; i < count; i++) {
      const agent = String.fromCharCode(0x80 + (i % 128));
      client.send(get(`/${i}?"\\{}\n`.replace("\n", "%0a"), `User-Agent: ${agent}"\\\r\n`));
    }
    for (let i = 0; i < count; i++) await client.answer();
    const all = await lines(count);
    expect(all.map((line) => String(line["path"]).split("?")[0])).toEqual(
      Array.from({ length: count }, (_, i) => `/${i}`),
    );
    expect(new Set(all.map((line) => line["request_id"])).size).toBe(count);
  });
});

describe("the latency headers", () => {
  it("tell how long the target took, how long we did, and how long an answer of our own took", async () => {
    const target = await openBackend((_, socket) => {
      setTimeout(() => socket.write(answerText("late")), 50);
    });
    opened.push(target);
    const { proxy } = await open({ ports: [target.port], routes: [{ name: "r", paths: ["/r"] }] });
    const startedAtMs = performance.now();
    const { head } = await proxy.ask(get("/r"));
    const tookMs = performance.now() - startedAtMs;
    const latencies = ["Upstream", "Proxy"].map((of) =>
      Number(new RegExp(`^X-Kong-${of}-Latency: (\\d+)\r$`, "m").exec(head)![1]),
    );
    // The one time that nobody else can have had: the target's. And both lie within what the client saw.
    expect(latencies[0]).toBeGreaterThanOrEqual(49);
    expect(latencies[0]! + latencies[1]!).toBeLessThanOrEqual(tookMs + 2);
    const { head: ours } = await proxy.ask(get("/none"));
    expect(ours).toMatch(/^X-Kong-Response-Latency: \d+\r$/m);
    expect(ours).not.toMatch(/X-Kong-(Upstream|Proxy)-Latency/);
  });
});

describe("the traffic counts", () => {
  it("follow requests through swaps of the snapshot", async () => {
    const { target, proxy } = await open();
    await proxy.ask(get("/"));
    await proxy.ask(post("/", "12345"));
    proxy.apply({ ports: [target.port], routes: [{ name: "r" }], service: { name: "s" } });
    await proxy.ask(get("/"));
    await proxy.ask("broken\r\n\r\n");
    const counts = proxy.server.engine.traffic.read();
    const routes = new SeriesTotals(routeCells, 2, 10);
    routes.add(counts.routes);
    const classes = [...routes.entries()].map(({ labels, cells }) => [
      ...labels,
      ...RouteCell.answers.map((at) => cells[at]),
    ]);
    expect(classes).toEqual([
      ["s", "r", 0, 3, 0, 0, 0],
      ["", "", 0, 0, 0, 1, 0],
    ]);
    const targets = new SeriesTotals(targetCells, 2, 10);
    targets.add(counts.targets);
    expect([...targets.entries()].map(({ labels, cells }) => [...labels, cells[0]])).toEqual([
      ["u", `127.0.0.1:${target.port}`, 3],
    ]);
    expect(proxy.server.engine.upstreams.sizes(10)).toEqual({
      labels: ["other", `127.0.0.1:${target.port}`],
      cells: Float64Array.of(0, 0, 1, 1),
    });
  });
});
