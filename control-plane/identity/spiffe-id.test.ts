import { describe, expect, it } from "vitest";
import { certifiedNode } from "./spiffe-id.ts";

describe("certifiedNode", () => {
  it.each<[string, string | undefined, string | undefined, string | null]>([
    ["a SPIFFE id", "URI:spiffe://penstock/node/n1", undefined, "n1"],
    ["of another trust domain", "DNS:x, URI:spiffe://corp.example/node/n1", "cn", "n1"],
    ["a common name without one", "DNS:x", "n2", "n2"],
    ["no names at all", undefined, "n2", "n2"],
    ["a SPIFFE id that is no node's, whatever the common name", "URI:spiffe://penstock/control-plane", "n1", null],
    ["two SPIFFE ids", "URI:spiffe://p/node/a, URI:spiffe://p/node/b", "n1", null],
    ["a longer path", "URI:spiffe://p/node/a/b c", undefined, null],
    ["no trust domain", "URI:spiffe:///node/a", undefined, null],
    ["a common name with spaces", undefined, "a node", null],
    ["nothing", undefined, undefined, null],
    ["a URI within a quoted name", 'DNS:"x, URI:spiffe://p/node/a"', "n1", "n1"],
    ["a URI after an escaped quote", 'DNS:"x\\", URI:spiffe://p/node/a, \\""', "n1", "n1"],
    ["a text that is not as expected", 'URI:spiffe://p/node/a, DNS:"x', undefined, null],
  ])("%s", (_, names, commonName, nodeId) => {
    expect(certifiedNode(names, commonName)?.nodeId ?? null).toBe(nodeId);
  });
});
