import { Duplex } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { startHub } from "../../test/support/sync-hub-rig.ts";

/** What is written to the server's HTTP/2 streams from now on, until the test ends. */
function writtenToStreams(): Buffer[] {
  const written: Buffer[] = [];
  const { write } = Duplex.prototype;
  vi.spyOn(Duplex.prototype, "write").mockImplementation(function (this: Duplex, ...args: unknown[]) {
    const [chunk] = args;
    if (this.constructor.name === "ServerHttp2Stream" && Buffer.isBuffer(chunk)) written.push(chunk);
    return Reflect.apply(write, this, args) as boolean;
  });
  return written;
}

describe("sharedFrames", () => {
  it("writes one copy of a snapshot to all nodes that get it", async () => {
    const { connect, store } = await startHub();
    for (let i = 0; i < 20; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(30_000)] });
    const written = writtenToStreams();
    try {
      for (const id of ["n1", "n2", "n3"]) {
        const node = connect();
        node.hello(id);
        const { entities } = await node.ackNextSnapshot();
        expect(entities).toHaveLength(20);
      }
    } finally {
      vi.restoreAllMocks();
    }
    const chunks = written.filter(({ length }) => length > 30_000);
    expect(chunks.length).toBe(30);
    expect(new Set(chunks).size).toBe(10);
  });
});
