import { describe, expect, it } from "vitest";
import { capabilityTable, tableSchemas } from "../control-plane/resource/capability-table.ts";
import { valueAt } from "../control-plane/resource/message-fields.ts";
import { nodeCapabilities } from "../data-plane/capabilities.ts";

describe("the capabilities of a node", () => {
  it("are all that the configuration may need, and nothing of it that does not exist", () => {
    const needed = [...new Set(capabilityTable.map(({ capability }) => capability))].sort();
    const said = nodeCapabilities.filter((one) => one.startsWith("config.") && one !== "config.v1");
    expect([...said].sort()).toEqual(needed);
    expect(new Set(nodeCapabilities).size).toBe(nodeCapabilities.length);
    // What a control plane reads of a hello.
    expect(nodeCapabilities.length).toBeLessThanOrEqual(64);
  });

  it("are about fields that there are", () => {
    for (const { kind, path } of capabilityTable) {
      if (path !== "") expect(() => valueAt(tableSchemas[kind]!, {}, path), `${kind} ${path}`).not.toThrow();
    }
  });
});
