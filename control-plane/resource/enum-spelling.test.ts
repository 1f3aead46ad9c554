import type { DescEnum, DescMessage } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { AlgorithmSchema, HashInputSchema, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { enumFromSpelling, enumSpelling, enumSpellings, expectedOneOf } from "./enum-spelling.ts";

function enumsOf(schema: DescMessage): DescEnum[] {
  return schema.fields.flatMap((field) => [
    ...(field.enum === undefined ? [] : [field.enum]),
    ...(field.message === undefined ? [] : enumsOf(field.message)),
  ]);
}

const enums = [...new Set([UpstreamSchema, ServiceSchema, RouteSchema].flatMap(enumsOf))];

describe("enumSpelling", () => {
  it.each(enums.map((desc) => ({ name: desc.typeName, desc })))("spells every value of $name, and back", ({ desc }) => {
    const numbers = desc.values.map((value) => value.number).filter((number) => number !== 0);
    const spelled = numbers.map((number) => enumSpelling(desc, number));
    expect(new Set(spelled).size).toBe(numbers.length);
    expect(spelled.map((spelling) => enumFromSpelling(desc, spelling ?? ""))).toEqual(numbers);
    expect(enumSpellings(desc)).toHaveLength(numbers.length);
  });

  it("has no spelling for the value that means not set, or for one that there is not", () => {
    expect(enumSpelling(AlgorithmSchema, 0)).toBeUndefined();
    expect(enumSpelling(AlgorithmSchema, 99)).toBeUndefined();
    expect(enumFromSpelling(AlgorithmSchema, "constructor")).toBeUndefined();
  });

  it("lists spellings as Kong's messages do", () => {
    expect(expectedOneOf(enumSpellings(HashInputSchema))).toBe(
      "expected one of: none, consumer, ip, header, cookie, path, query_arg, uri_capture",
    );
  });
});
