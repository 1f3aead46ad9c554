import { expect, it, onTestFinished } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import { RequestHead } from "../http1/request-head.ts";
import type { ClientConnection } from "../proxy/client-connection.ts";
import { Exchange } from "../proxy/exchange.ts";
import { proxyRequest } from "../proxy/proxy-request.ts";
import { get, Rig } from "./proxy-server.test-rig.ts";

it("an exchange that is over keeps none of the long texts of its request", async () => {
  const sticky = { ...defaultBalancing, sticky: { name: "c", path: "/" } };
  const rig = await Rig.open({ ports: [], pool: { algorithm: "sticky-sessions", balancing: sticky } });
  onTestFinished(() => rig.close());
  const { engine } = rig.server;
  let answer = "";
  const client = {
    socket: { writeText: (text: string) => (answer += text) },
    remoteAddress: "127.0.0.1",
    canDiscardBody: () => true,
    answered: () => {},
  };
  const exchange = new Exchange(engine, client as unknown as ClientConnection);
  const head = new RequestHead();
  const bytes = Buffer.from(
    get(
      `/${"p".repeat(8_000)}?q`,
      `Accept: ${"a".repeat(9_000)}\r\nX: ${"x".repeat(4_000)}\r\nCookie: c=${"c".repeat(9_000)}\r\n`,
    ),
  );
  expect(head.parse(bytes, 0, bytes.length)).toBe(bytes.length);
  proxyRequest(exchange, head, bytes);
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  const texts = Object.values(exchange).filter((value) => typeof value === "string");
  expect(texts.join("").length).toBeLessThan(500);
});
