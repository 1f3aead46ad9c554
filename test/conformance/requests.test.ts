import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { RecordingBackend } from "./recording-backend.ts";
import { requestCorpus } from "./request-corpus.ts";
import { runRequestCase } from "./run-request-case.ts";

let backend: RecordingBackend;
let rig: Rig;

beforeAll(async () => {
  backend = await RecordingBackend.open();
  rig = await Rig.open({ ports: [backend.port], routes: [{ stripPath: false }], tlsSettings: {} });
});
afterAll(async () => {
  expect(rig.defects).toEqual([]);
  await rig.close();
  await backend.close();
});

const cases = requestCorpus.flatMap((family) => family.cases);

describe("S1: the request corpus", () => {
  it("has at least 200 requests, 60 of them to be accepted", () => {
    expect(cases.length).toBeGreaterThanOrEqual(200);
    expect(cases.filter(({ want }) => Array.isArray(want)).length).toBeGreaterThanOrEqual(60);
  });
});

describe.each(requestCorpus)("$name ($source)", (family) => {
  it.each(family.cases)("$name", async (one) => {
    expect(await runRequestCase({ port: rig.server.port, backend }, one)).toEqual([]);
  });

  it.each(family.cases)("over TLS: $name", async (one) => {
    expect(await runRequestCase({ port: rig.server.tlsPort!, backend, isTls: true }, one)).toEqual([]);
  });
});
