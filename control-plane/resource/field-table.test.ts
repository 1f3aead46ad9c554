import type { DescMessage } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { Kind } from "./checked.ts";
import { fieldTable } from "./field-table.ts";
import { leafFields } from "./message-fields.ts";
import { routeRules } from "./route.ts";
import { serviceRules } from "./service.ts";
import { targetRules } from "./target.ts";
import { upstreamRules } from "./upstream.ts";

const schemas: Readonly<Record<Kind, DescMessage>> = {
  upstream: upstreamRules.schema,
  target: targetRules.schema,
  service: serviceRules.schema,
  route: routeRules.schema,
};

describe("fieldTable", () => {
  it.each(Object.keys(schemas) as Kind[])("says of every field of a %s what becomes of it, and of no other", (kind) => {
    const inProto = leafFields(schemas[kind]).map(({ path }) => path);
    expect(Object.keys(fieldTable[kind]).sort()).toEqual([...inProto].sort());
  });
});
