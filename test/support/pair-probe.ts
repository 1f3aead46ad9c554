import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";

/** A breath between two probes: other processes want the machine as well. */
const pauseMs = 5;

export interface ProbedPair {
  /** How often the pair was seen, by the version of its first half. */
  readonly seen: ReadonlyMap<number, number>;
  /** More than one: another worker may have answered. */
  readonly connectionCount: number;
  /** As the promise; rejects as soon as a pair is seen that no publication has, or a request fails. */
  meanwhile<T>(promise: Promise<T>): Promise<T>;
}

/**
 * Asks for two paths until the test is over, on one connection, and so at one worker. Their targets' URLs begin with
 * /v and a version, which only grows; each version is written to the first path before it is written to the last.
 * Two requests are no instant: what the last one tells counts where the first one told the same before and after.
 */
export function probePair(port: number, firstPath: string, lastPath: string): ProbedPair {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const seen = new Map<number, number>();
  let connectionCount = 0;
  let isOver = false;
  const versionAt = (path: string) =>
    new Promise<number>((resolve, reject) => {
      const sent = request({ port, host: "127.0.0.1", path, agent }, (answer) => {
        text(answer).then((body) => {
          const version = /"url": "\/v(\d+)\//.exec(body)?.[1];
          if (version === undefined) reject(new Error(`${path}: ${answer.statusCode} ${body}`));
          else resolve(Number(version));
        }, reject);
      });
      sent.on("socket", (socket) => {
        if (socket.connecting) connectionCount++;
      });
      sent.on("error", reject);
      sent.end();
    });
  const probe = async () => {
    const first = await versionAt(firstPath);
    const last = await versionAt(lastPath);
    if (first !== (await versionAt(firstPath))) return;
    seen.set(first, (seen.get(first) ?? 0) + 1);
    if (last !== first && last !== first - 1)
      throw new Error(`a mix: ${firstPath} has version ${first}, ${lastPath} has ${last}`);
  };
  const running = (async (): Promise<never> => {
    while (!isOver) {
      await probe();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    throw new Error("the test is over");
  })();
  onTestFinished(async () => {
    isOver = true;
    await running.catch(() => {});
    agent.destroy();
  });
  return {
    seen,
    get connectionCount() {
      return connectionCount;
    },
    meanwhile: (promise) => Promise.race([promise, running]),
  };
}
