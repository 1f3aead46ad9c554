import { create, toBinary } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
} from "../../../proto/gen/google/rpc/error_details_pb.ts";
import type { Problem } from "../../resource/checked.ts";
import { toBadRequest, toConnectError } from "./to-connect-error.ts";

const invalid = (field: string, message: string): Problem => ({ code: "invalid", field, message });

/** What the error takes in a gRPC trailer: its message percent-encoded, and again in base64 with its details. */
function trailerBytes(error: ConnectError): number {
  const details = error.details.map((detail) => {
    if (!("desc" in detail)) throw new Error("an incoming detail");
    // The type's name and the lengths around it.
    return toBinary(detail.desc, create(detail.desc, detail.value)).length + detail.desc.typeName.length + 30;
  });
  const status = Buffer.byteLength(error.rawMessage) + details.reduce((sum, length) => sum + length, 0);
  return encodeURIComponent(error.rawMessage).length + (status * 4) / 3;
}

const violationsOf = (error: ConnectError) => error.findDetails(BadRequestSchema)[0]!.fieldViolations;
const dangling = (i: number): Problem => ({
  code: "dangling_reference",
  field: `ca_certificates.${i}`,
  message: "does not reference an existing 'ca_certificates' entity.",
  resource: { kind: "upstream", id: "7d4d2d5c-6f0e-4f59-8f0f-0d2a0f5a3c11" },
});

describe("toConnectError", () => {
  it("tells every violation with its path in the request", () => {
    const error = toConnectError([invalid("host", "m1"), invalid("", "m2")], { kind: "service" });
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toBe("host: m1; m2");
    expect(violationsOf(error)).toMatchObject([
      { field: "service.host", description: "m1" },
      { field: "service", description: "m2" },
    ]);
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "INVALID", metadata: { field: "host" } });
  });

  // Clients take trailers of 8 KiB, and tell nothing but their own limit where one is larger.
  it.each([
    {
      name: "many problems",
      problems: Array.from({ length: 1000 }, (_, i) => invalid(`tags.${i}`, `invalid tag 'a,${i}'`)),
    },
    { name: "a long field and message", problems: [invalid("a".repeat(60_000), "é".repeat(60_000))] },
    {
      name: "many long ones",
      problems: Array.from({ length: 50 }, (_, i) => invalid("f".repeat(500) + i, "円".repeat(500))),
    },
    { name: "many other resources", problems: Array.from({ length: 1000 }, (_, i) => dangling(i)) },
    {
      name: "a long key",
      problems: [{ code: "not_found", field: "", message: "Not found" } as const],
      key: "é".repeat(60_000),
    },
  ])("fits into a trailer with $name", ({ problems, key }) => {
    const error = toConnectError(problems, { kind: "service", ...(key === undefined ? {} : { key }) });
    expect(trailerBytes(error)).toBeLessThan(7500);
    const [info] = error.findDetails(ResourceInfoSchema);
    if (key !== undefined) expect(info?.resourceName).toMatch(/^é+…$/);
  });

  it("says how many violations it leaves out", () => {
    const violations = Array.from({ length: 1000 }, (_, i) => ({ field: `tags.${i}`, description: "m" }));
    const told = violationsOf(toBadRequest(violations));
    expect(told.length).toBeGreaterThan(20);
    expect(told.at(-1)).toMatchObject({ field: "", description: `and ${1000 - told.length + 1} more` });
  });
});
