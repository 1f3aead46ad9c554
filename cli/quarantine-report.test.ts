import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { QuarantineStatusSchema, ServedVersion } from "../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { quarantineReport } from "./quarantine-report.ts";

describe("quarantineReport", () => {
  it("says that nothing is, and of what is, what waits and what nodes have", () => {
    expect(quarantineReport([])).toMatch(/^Nothing is in quarantine/);
    const status = create(QuarantineStatusSchema, {
      ...{ id: "q1", reason: "invalid_entity", field: "paths[0]", message: "bad\nregex", nodeIds: ["n1", "n2"] },
      since: timestampFromMs(1_717_000_000_000),
      entities: [
        {
          kind: "route",
          id: "r1",
          name: "shop",
          refusedRevision: 9n,
          served: ServedVersion.LAST_GOOD,
          servedRevision: 4n,
        },
        { kind: "service", id: "s1", refusedRevision: 0n, served: ServedVersion.LAST_GOOD, depends: true },
        { kind: "upstream", id: "u1", refusedRevision: 9n, served: ServedVersion.NONE },
      ],
    });
    expect(quarantineReport([status])).toBe(`q1  since 2024-05-29T16:26:40.000Z
  invalid_entity in paths[0]: bad regex
  refused by n1, n2
  route r1 (shop): revision 9 waits, nodes have revision 4
  service s1: its deletion waits, nodes have its last good version, as it depends on the others
  upstream u1: revision 9 waits, nodes do not have it
`);
  });
});
