import { describe, expect, it } from "vitest";
import { type ReadyFacts, readReadyConditions, unmetConditions } from "./ready-conditions.ts";

const well: ReadyFacts = {
  isDraining: false,
  hasConfig: true,
  listeningCount: 2,
  servingCount: 2,
  outOfSyncMs: 0,
  endpoints: () => ({ healthyCount: 1, count: 2 }),
};

const everything = [
  { name: "has-config" },
  { name: "listeners-up" },
  { name: "in-sync", withinMs: 5_000 },
  { name: "healthy-endpoint" },
] as const;

describe("readReadyConditions", () => {
  it.each([
    { text: "has-config", value: [{ name: "has-config" }] },
    { text: "has-config, listeners-up,in-sync=5s,healthy-endpoint", value: everything },
    { text: "in-sync", value: [{ name: "in-sync", withinMs: 30_000 }] },
    { text: "in-sync=0", value: [{ name: "in-sync", withinMs: 0 }] },
  ])("reads $text", ({ text, value }) => {
    expect(readReadyConditions(text)).toEqual({ ok: true, value });
  });

  it.each([
    { text: "", says: '"" is not one of has-config, listeners-up, in-sync, healthy-endpoint' },
    { text: "has-config,insync", says: '"insync" is not one of has-config' },
    { text: "has-config,has-config", says: "names has-config twice" },
    { text: "has-config=1", says: "has-config takes no value" },
    { text: "in-sync=", says: "in-sync= is not a time" },
    { text: "in-sync=soon", says: "in-sync=soon is not a time such as" },
    { text: "in-sync=1s,in-sync=2s", says: "names in-sync twice" },
  ])("refuses $text", ({ text, says }) => {
    expect(readReadyConditions(text)).toEqual({ ok: false, problem: expect.stringContaining(says) });
  });
});

describe("unmetConditions", () => {
  it.each<{ name: string; facts: Partial<ReadyFacts>; unmet: Record<string, string> }>([
    { name: "all is well", facts: {}, unmet: {} },
    { name: "it drains", facts: { isDraining: true }, unmet: { draining: "draining" } },
    {
      name: "it has nothing yet",
      facts: { hasConfig: false, servingCount: 0 },
      unmet: { "has-config": "no configuration available" },
    },
    { name: "its workers have nothing", facts: { servingCount: 0 }, unmet: { "listeners-up": "no worker is ready" } },
    {
      name: "it does not listen",
      facts: { listeningCount: 0, servingCount: 0 },
      unmet: { "listeners-up": "no worker listens" },
    },
    { name: "it was in sync a while ago", facts: { outOfSyncMs: 5_000 }, unmet: {} },
    {
      name: "it was in sync too long ago",
      facts: { outOfSyncMs: 5_001 },
      unmet: { "in-sync": "not in sync with a control plane for 5 s" },
    },
    {
      name: "it never was in sync",
      facts: { outOfSyncMs: null },
      unmet: { "in-sync": "not in sync with a control plane since the start" },
    },
    {
      name: "all endpoints are out",
      facts: { endpoints: () => ({ healthyCount: 0, count: 2 }) },
      unmet: { "healthy-endpoint": "none of 2 endpoints is healthy" },
    },
    {
      name: "there are none",
      facts: { endpoints: () => ({ healthyCount: 0, count: 0 }) },
      unmet: { "healthy-endpoint": "there is no endpoint" },
    },
  ])("tells when $name", ({ facts, unmet }) => {
    const found = unmetConditions(everything, { ...well, ...facts });
    expect(Object.fromEntries(found.map(({ condition, reason }) => [condition, reason]))).toEqual(unmet);
  });

  it("asks for nothing that was not chosen", () => {
    expect(unmetConditions([{ name: "listeners-up" }], { ...well, hasConfig: false, outOfSyncMs: null })).toEqual([]);
  });
});
