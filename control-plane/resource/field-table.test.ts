import type { DescMessage } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { Kind } from "./checked.ts";
import { fieldTable } from "./field-table.ts";
import { leafFields } from "./message-fields.ts";
import { rulesOfKind } from "./rules-of-kind.ts";

describe("fieldTable", () => {
  it.each(Object.keys(rulesOfKind) as Kind[])(
    "says of every field of a %s what becomes of it, and of no other",
    (kind) => {
      const inProto = leafFields(rulesOfKind[kind].schema as DescMessage).map(({ path }) => path);
      expect(Object.keys(fieldTable[kind]).sort()).toEqual([...inProto].sort());
    },
  );
});
