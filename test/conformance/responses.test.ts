import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { rawExchange } from "./raw-exchange.ts";
import { responseCorpus } from "./response-corpus.ts";
import { runResponseCase } from "./run-response-case.ts";
import { ScriptedBackend } from "./scripted-backend.ts";
import { readAnswers } from "./strict-reader.ts";

let backend: ScriptedBackend;
let rig: Rig;

beforeAll(async () => {
  backend = await ScriptedBackend.open();
  rig = await Rig.open({ ports: [backend.port], routes: [{ stripPath: false }] });
});
afterAll(async () => {
  expect(rig.defects).toEqual([]);
  expect(backend.odd).toEqual([]);
  await rig.close();
  await backend.close();
});

const cases = responseCorpus.flatMap((family) => family.cases);

describe("S4: the response corpus", () => {
  it("has at least 60 answers, half of them legal", () => {
    expect(cases.length).toBeGreaterThanOrEqual(60);
    expect(cases.filter(({ want }) => typeof want === "object").length).toBeGreaterThanOrEqual(30);
  });
});

describe.each(responseCorpus)("$name ($source)", (family) => {
  it.each(family.cases)("$name", async (one) => {
    expect(await runResponseCase({ port: rig.server.port, backend }, one)).toEqual([]);
  });
});

describe("S4: truncation", () => {
  const fields = "X: y\r\nServer: t\r\n";
  it.each([
    ["a length", `HTTP/1.1 200 OK\r\n${fields}Content-Length: 9\r\n\r\nabcdefghi`],
    [
      "chunks",
      `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n`,
    ],
    [
      "an interim answer before it",
      `HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n${fields}Content-Length: 3\r\n\r\nabc`,
    ],
  ])("of an answer with %s shows at every point", async (_, whole) => {
    for (let cut = 0; cut < whole.length; cut++) {
      backend.play({ bytes: whole.slice(0, cut), afterwards: "close" });
      const { text, end } = await rawExchange(rig.server.port, "GET /case HTTP/1.1\r\nHost: a.test\r\n\r\n", {
        isEnough: (sofar) => sofar.includes("request_id: ") || /^HTTP\/1\.1 502 .*\r\n\r\n.*\}/s.test(sofar),
      });
      const finals = readAnswers(text).messages.filter(({ startLine }) => !startLine.startsWith("HTTP/1.1 1"));
      const shows = finals.length === 0 ? end === "reset" : finals[0]!.startLine.startsWith("HTTP/1.1 502 ");
      expect(shows, `cut at ${cut}: ${end} ${text}`).toBe(true);
    }
  });
});
