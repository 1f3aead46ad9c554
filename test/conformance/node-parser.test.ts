import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawExchange } from "./raw-exchange.ts";
import { requestCorpus } from "./request-corpus.ts";

/** A server on Node's own parser in its strict mode: what it refuses, we refuse, or the case says why not. */
let server: Server;
let port = 0;

beforeAll(async () => {
  // Its limits are set to ours, so that only what it thinks of the bytes counts.
  const limits = { maxHeaderSize: 32_768, requireHostHeader: true, insecureHTTPParser: false };
  server = createServer({ ...limits, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "Content-Length": 0 }).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const accepted = requestCorpus.flatMap((family) =>
  family.cases.filter(({ want }) => Array.isArray(want)).map((one) => ({ ...one, family: family.name })),
);

describe("what Node's strict parser refuses is refused here too", () => {
  it.each(accepted)("$family: $name", async (one) => {
    const { text } = await rawExchange(port, one.bytes, { ends: true });
    const refuses = /HTTP\/1\.1 [45]\d\d /.test(text);
    expect(refuses, text.slice(0, 200)).toBe(one.nodeRefuses !== undefined);
  });
});
