import { Agent, request } from "node:http";

export interface WrittenCounts {
  readonly written: number;
  readonly failed: number;
  readonly seconds: number;
}

/**
 * PATCHes at a steady rate over some connections, which wait for no node, for so long. What is late is made up for.
 * @param next path and JSON body of the write with this number, from 0 on
 */
export async function writeAtRate(
  adminUrl: string,
  options: { perSecond: number; seconds: number; connectionCount: number },
  next: (number: number) => { readonly path: string; readonly body: string },
): Promise<WrittenCounts> {
  const { perSecond, seconds, connectionCount } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connectionCount });
  const startedAtMs = performance.now();
  const counts = { written: 0, failed: 0 };
  let sent = 0;
  const write = async (): Promise<void> => {
    while (sent < perSecond * seconds) {
      const dueInMs = startedAtMs + (sent * 1_000) / perSecond - performance.now();
      const { path, body } = next(sent++);
      if (dueInMs > 0) await new Promise((resolve) => setTimeout(resolve, dueInMs));
      const status = await patch(adminUrl + path, body, agent);
      if (status < 300) counts.written++;
      else counts.failed++;
      // What could not be written in its time is left: the rate that came of it is told.
      if (performance.now() - startedAtMs > seconds * 1_000) return;
    }
  };
  await Promise.all(Array.from({ length: connectionCount }, write));
  agent.destroy();
  return { ...counts, seconds: (performance.now() - startedAtMs) / 1_000 };
}

/** @returns the status; 599 where there was no answer */
function patch(url: string, body: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(`${url}?wait=none`, { method: "PATCH", agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 599));
      answer.on("error", () => resolve(599));
    });
    sent.on("error", () => resolve(599));
    sent.end(body);
  });
}
