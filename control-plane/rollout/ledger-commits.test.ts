import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { NodeIdentitySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import { ledgerCommit } from "./ledger-commits.ts";
import { enterCommit, type Ledger } from "./publication-ledger.ts";

const identity = (labels: Record<string, string>, revokedReason = "") =>
  toBinary(NodeIdentitySchema, create(NodeIdentitySchema, { id: "n", labels, revokedReason }));

const commitOf = (before: Uint8Array | null, after: Uint8Array | null) =>
  ledgerCommit({
    ...{ revision: 31, publication: 21 },
    changes: [{ revision: 31, kind: "node_identity", id: "n", operation: "update", before, after, atUnixMs: 0 }],
  });

describe("ledgerCommit", () => {
  it.each([
    { name: "other labels", before: identity({ zone: "eu" }), after: identity({ zone: "us" }), hasLive: true },
    { name: "a node that joins with labels", before: null, after: identity({ zone: "us" }), hasLive: true },
    { name: "a node that joins without", before: null, after: identity({}), hasLive: false },
    { name: "a revocation", before: identity({ zone: "eu" }), after: identity({ zone: "eu" }, "x"), hasLive: false },
  ])("says of $name whether nodes get something else at once: $hasLive", ({ before, after, hasLive }) => {
    expect(commitOf(before, after)).toMatchObject({ hasLive, hasContent: false });
  });

  it("gives a node with other labels a new number on both sides of a rollout", () => {
    const ledger: Ledger = {
      ...{ revision: 30, publication: 20, mode: "staged", waiting: null, rollout: null },
      baseline: { revision: 10, publication: 15 },
      candidate: { revision: 29, publication: 19 },
    };
    const moved = enterCommit(ledger, commitOf(identity({ zone: "eu" }), identity({ zone: "us" })));
    expect([moved.baseline, moved.candidate]).toEqual([
      { revision: 10, publication: 21 },
      { revision: 29, publication: 21 },
    ]);
  });
});
