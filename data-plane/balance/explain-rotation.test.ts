import { describe, expect, it } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import { testEndpoint, testPool } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import type { EndpointFlag } from "./endpoint-state.ts";
import { explainRotation } from "./explain-rotation.ts";

const local = { isLocal: true };
const remote = { isLocal: false };
const second = { priority: 1 };
const zones = { spillThresholdPercent: 70 };
const overflow = { failover: { overflowThresholdPercent: 70, failBackDelayMs: 0 } };

describe("explainRotation", () => {
  it.each<{
    name: string;
    given: Partial<EndpointConfig>[];
    out?: Record<number, EndpointFlag>;
    ramps?: Record<number, number>;
    balancing?: object;
    want: [string, number][];
  }>([
    {
      name: "shares by weight",
      given: [{ weight: 3 }, { weight: 1 }],
      want: [
        ["in_use", 0.75],
        ["in_use", 0.25],
      ],
    },
    {
      name: "of those that are in",
      given: [{}, {}, {}],
      out: { 0: "ejected", 1: "unhealthy" },
      want: [
        ["ejected", 0],
        ["out", 0],
        ["in_use", 1],
      ],
    },
    {
      name: "a second tier as a reserve",
      given: [{}, second],
      want: [
        ["in_use", 1],
        ["reserve", 0],
      ],
    },
    {
      name: "a second tier in the place of a dead first, which is no panic",
      given: [{}, second, { priority: 2 }],
      out: { 0: "unhealthy" },
      want: [
        ["out", 0],
        ["in_use", 1],
        ["reserve", 0],
      ],
    },
    {
      name: "a second tier beside a weak first",
      given: [{ weight: 35 }, { weight: 65 }, second],
      out: { 1: "ejected" },
      balancing: overflow,
      want: [
        ["in_use", 0.5],
        ["ejected", 0],
        ["in_use", 0.5],
      ],
    },
    {
      name: "both tiers in proportion when neither has enough",
      given: [{}, {}, {}, {}, second, second],
      out: { 0: "ejected", 1: "ejected", 2: "ejected", 4: "ejected" },
      balancing: { failover: { overflowThresholdPercent: 100, failBackDelayMs: 0 } },
      want: [
        ["ejected", 0],
        ["ejected", 0],
        ["ejected", 0],
        ["in_use", 1 / 3],
        ["ejected", 0],
        ["in_use", 2 / 3],
      ],
    },
    {
      name: "the zone's own first",
      given: [local, remote],
      balancing: { zones },
      want: [
        ["in_use", 1],
        ["reserve", 0],
      ],
    },
    {
      name: "what spills over to another zone",
      given: [local, local, remote, second],
      out: { 1: "ejected" },
      balancing: { zones: { spillThresholdPercent: 100 } },
      want: [
        ["in_use", 0.5],
        ["ejected", 0],
        ["in_use", 0.5],
        ["reserve", 0],
      ],
    },
    {
      name: "no zones where there is no policy of them",
      given: [local, remote],
      want: [
        ["in_use", 0.5],
        ["in_use", 0.5],
      ],
    },
    {
      name: "less of one that takes up its share",
      given: [{}, {}],
      ramps: { 1: 250 },
      want: [
        ["in_use", 0.8],
        ["in_use", 0.2],
      ],
    },
    {
      name: "all of a tier's share, however slowly its endpoints take it up",
      given: [{}, {}, second],
      ramps: { 0: 100, 1: 100 },
      balancing: overflow,
      want: [
        ["in_use", 0.5],
        ["in_use", 0.5],
        ["reserve", 0],
      ],
    },
    {
      name: "one that is held back as no part of its tier",
      given: [{}, second],
      ramps: { 0: 0 },
      want: [
        ["held_back", 0],
        ["in_use", 1],
      ],
    },
    {
      name: "nobody held back where all are",
      given: [{}, second],
      ramps: { 0: 0, 1: 0 },
      want: [
        ["in_use", 1],
        ["reserve", 0],
      ],
    },
    {
      name: "nobody held back in a panic",
      given: [{}, {}],
      ramps: { 0: 100 },
      out: { 0: "ejected", 1: "ejected" },
      want: [
        ["in_use", 0.5],
        ["in_use", 0.5],
      ],
    },
    {
      name: "one that keeps its sessions and gets no new ones",
      given: [{ weight: 0 }, {}, { weight: 0 }],
      out: { 2: "ejected" },
      want: [
        ["draining", 0],
        ["in_use", 1],
        ["out", 0],
      ],
    },
  ])("tells $name", ({ given, out = {}, ramps = {}, balancing = {}, want }) => {
    const endpoints = given.map((each, row) => testEndpoint({ row, ...each }));
    const state = new FakeEndpointState();
    for (const [row, flag] of Object.entries(out)) state.set(Number(row), flag);
    for (const [row, ramp] of Object.entries(ramps)) state.setRamp(0, Number(row), ramp);
    const pool = testPool({ balancing: { ...defaultBalancing, ...balancing } });
    const places = explainRotation(pool, endpoints, state);
    expect(places.map(({ endpoint }) => endpoint)).toEqual(endpoints);
    expect(places.map(({ role }) => role)).toEqual(want.map(([role]) => role));
    for (const [i, { share }] of places.entries()) expect(share).toBeCloseTo(want[i]![1], 4);
  });
});
