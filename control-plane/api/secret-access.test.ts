import { describe, expect, it } from "vitest";
import type { AnyRequest } from "./answer.ts";
import { secretAccess } from "./secret-access.ts";

const request = (remoteAddress: string | undefined, headers: Record<string, string> = {}) =>
  ({ socket: { remoteAddress }, headers }) as unknown as AnyRequest;

describe("secretAccess", () => {
  it.each(["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])("lets %s read secrets", (address) => {
    expect(secretAccess(false)(request(address))).toEqual({ ofOne: true, inLists: false });
    expect(secretAccess(true)(request(address))).toEqual({ ofOne: true, inLists: true });
  });

  it.each(["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "::", "0.0.0.0", "", undefined])("shows %s none", (address) => {
    expect(secretAccess(true)(request(address))).toEqual({ ofOne: false, inLists: false });
  });

  it.each(["forwarded", "via", "x-forwarded-for", "x-real-ip"])(
    "shows none to who came through a proxy (%s)",
    (name) => {
      expect(secretAccess(true)(request("127.0.0.1", { [name]: "127.0.0.1" }))).toEqual({
        ofOne: false,
        inLists: false,
      });
    },
  );
});
