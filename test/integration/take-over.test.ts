import { describe, expect, it, onTestFinished } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { HashedEntity } from "../../proto/state-hash.ts";
import { runPenstock, startDataPlane, startEchoTargetProcess, temporaryFolder } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";
import { entity, startScriptedSyncServer } from "../support/scripted-sync-server.ts";

const serviceId = "00000000-0000-4000-8000-000000000001";

/** One service with one route; a path that is no regular expression makes a node refuse the whole. */
function state(targetPort: number, path: string): HashedEntity[] {
  const timeout = { seconds: 60n };
  return [
    entity("service", {
      id: serviceId,
      name: "s",
      protocol: Protocol.HTTP,
      host: "127.0.0.1",
      port: targetPort,
      retries: 5,
      connectTimeout: timeout,
      writeTimeout: timeout,
      readTimeout: timeout,
      enabled: true,
    }),
    entity("route", {
      id: "00000000-0000-4000-8000-000000000002",
      name: "r",
      protocols: [Protocol.HTTP],
      paths: [path],
      stripPath: true,
      service: { id: serviceId },
    }),
  ];
}

async function startControlPlane() {
  const server = await startScriptedSyncServer();
  onTestFinished(() => server.close());
  return server;
}

/** The statuses of so many answers, each on a connection of its own; the kernel deals them over all who listen. */
async function answers(port: number, count: number): Promise<number[]> {
  const all = await Promise.all(Array.from({ length: count }, () => getFresh(port, "/p")));
  return all.map(({ status }) => status);
}

const allWell = Array<number>(60).fill(200);

function startTakeOver(controlPlane: string, proxyPort: number, env: Record<string, string>) {
  return runPenstock(["data-plane", "--take-over"], {
    PENSTOCK_STATE_DIR: temporaryFolder(),
    PENSTOCK_CONTROL_PLANE: controlPlane,
    PENSTOCK_PROXY_LISTEN: `127.0.0.1:${proxyPort}`,
    PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    PENSTOCK_WORKERS: "2",
    ...env,
  });
}

describe("a data plane with --take-over", () => {
  it.each(["worker", "main"] as const)(
    "takes no connection before it has a configuration to serve, and all when the other ends, accepting in %s",
    async (accept) => {
      const env = { PENSTOCK_ACCEPT: accept };
      const target = await startEchoTargetProcess("t1");
      const [formerSource, source] = [await startControlPlane(), await startControlPlane()];
      const former = await startDataPlane(formerSource.address, { env });
      await formerSource.nextMessage("hello");
      formerSource.sendSnapshot(state(target.port, "/p"), { publication: 1 });
      await formerSource.nextMessage("ack");

      const successor = startTakeOver(source.address, former.proxyPort, env);
      const { status } = await successor.jsonLine((line) => /^listens when/.test(String(line["msg"])));
      const statusUrl = `http://${(status as string[])[0]}/status`;
      const listeningCount = async () =>
        ((await (await fetch(statusUrl)).json()) as { workers: { listening: number } }).workers.listening;
      await source.nextMessage("hello");
      expect((await fetch(`${statusUrl}/ready`)).status).toBe(503);
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);

      source.sendSnapshot(state(target.port, "~/("), { publication: 1 });
      expect((await source.nextMessage("nack")).entityKind).toBe("route");
      expect(await listeningCount()).toBe(0);
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);

      source.sendSnapshot(state(target.port, "/p"), { publication: 2 });
      expect((await source.nextMessage("ack")).publication).toBe(2n);
      expect((await fetch(`${statusUrl}/ready`)).status).toBe(200);
      expect(await listeningCount()).toBe(2);
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);

      expect(await former.stop()).toBe(0);
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);
      expect(await successor.stop()).toBe(0);
    },
  );

  it.skipIf(process.platform === "win32")(
    "loses nothing when both replace their workers (SIGUSR2), nor when the other is hung up on (SIGHUP)",
    async () => {
      const target = await startEchoTargetProcess("t1");
      const source = await startControlPlane();
      const former = await startDataPlane(source.address);
      await source.nextMessage("hello");
      source.sendSnapshot(state(target.port, "/p"), { publication: 1 });
      await source.nextMessage("ack");
      const other = await startControlPlane();
      const successor = startTakeOver(other.address, former.proxyPort, {});
      await other.nextMessage("hello");
      other.sendSnapshot(state(target.port, "/p"), { publication: 1 });
      await other.nextMessage("ack");

      const load = startRequestLoad({ port: former.proxyPort, path: "/p", requestsPerSecond: 200, connectionCount: 8 });
      await load.finished(50);
      for (const node of [former, successor]) {
        node.child.kill("SIGUSR2");
        await node.jsonLine(({ msg, isDone }) => msg === "workers replaced" && isDone === true);
      }
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);
      expect(await former.stop("SIGHUP")).toBe(0);
      await load.finished(load.outcome.sent + 50);
      expect((await load.stop()).failures).toEqual([]);
      expect(await answers(former.proxyPort, 60)).toEqual(allWell);
      expect(await successor.stop()).toBe(0);
    },
  );

  it("ends with 0 when it is told to while it waits", async () => {
    const source = await startControlPlane();
    const former = await startDataPlane(source.address);
    const successor = startTakeOver(source.address, former.proxyPort, {});
    await successor.jsonLine((line) => /^listens when/.test(String(line["msg"])));
    expect(await successor.stop()).toBe(0);
  });
});
