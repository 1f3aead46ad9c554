import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { rawExchange } from "./raw-exchange.ts";
import { RecordingBackend } from "./recording-backend.ts";

/** Spellings that one server or another reads as /admin/secret. */
const spellings: readonly (readonly [how: string, target: string])[] = [
  ["as it is", "/admin/secret"],
  ["a dot segment", "/./admin/secret"],
  ["two dots", "/x/../admin/secret"],
  ["escaped dots", "/x/%2e%2e/admin/secret"],
  ["half escaped dots", "/x/.%2E/admin/secret"],
  ["two slashes", "//admin/secret"],
  ["an escaped letter", "/%61dmin/secret"],
  ["an escaped slash", "/x/..%2fadmin%2Fsecret"],
  ["an escaped backslash", "/x/..%5cadmin/secret"],
  ["a backslash", "/x\\..\\admin\\secret"],
  ["dots with parameters", "/x/..;/admin/secret"],
  ["parameters of the segment", "/admin;x=1/secret"],
  ["overlong dots", "/x/%c0%ae%c0%ae/admin/secret"],
  ["a NUL", "/%00/../admin/secret%00"],
  // Beyond the fourteen that peers were measured with.
  ["an overlong slash", "/x/..%c0%afadmin/secret"],
  ["dots with an escaped semicolon", "/x/..%3b/admin/secret"],
  ["an empty segment with parameters", "/;x=1/admin/secret"],
  ["dots beyond the root", "/../../admin/secret"],
  ["slashes and dots mixed", "/.//./x//..///admin/./secret"],
  ["absolute-form", "http://a.test/x/../admin/secret"],
  ["absolute-form with another host", "http://b.test/%61dmin/secret"],
  ["a broken escape", "/%/../admin/secret"],
  ["an IIS escape", "/%u0061dmin/secret"],
  ["a fragment", "/x#/../admin/secret"],
];

let backend: RecordingBackend;
let rig: Rig;

beforeAll(async () => {
  backend = await RecordingBackend.open();
  // The denied prefix has a route of its own, which plain HTTP does not pass; the rest goes to the target.
  rig = await Rig.open({
    ports: [backend.port],
    routes: [
      { paths: ["/admin"], protocols: ["https"], httpsRedirectStatus: 426 },
      { paths: ["/"], stripPath: false },
    ],
  });
});
afterAll(async () => {
  await rig.close();
  await backend.close();
});

describe("S3: a denied prefix", () => {
  it("is spelled in at least 14 ways", () => {
    expect(spellings.length).toBeGreaterThanOrEqual(14);
  });

  it.each(spellings)("is not reached by %s", async (_, target) => {
    backend.clear();
    const { text } = await rawExchange(
      rig.server.port,
      `GET ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 4(?:00|26) /);
    expect(backend.received).toEqual([]);
  });

  it("does not stand in the way of its neighbours", async () => {
    backend.clear();
    for (const target of ["/x", "/adm/in"]) {
      const { text } = await rawExchange(
        rig.server.port,
        `GET ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
      );
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
    }
    expect(backend.received.map(({ startLine }) => startLine)).toEqual(["GET /x HTTP/1.1", "GET /adm/in HTTP/1.1"]);
  });
});
