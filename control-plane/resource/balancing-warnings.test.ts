import { create, type DescMessage } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Algorithm, HashInput, type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { balancingWarnings } from "./balancing-warnings.ts";
import { leafFields } from "./message-fields.ts";
import { upstreamRules } from "./upstream.ts";

type Init = NonNullable<Parameters<typeof create<typeof UpstreamSchema>>[1]>;

/** The defaults, with what is said instead. */
function upstream(init: object): Upstream {
  const said = create(UpstreamSchema, init) as unknown as Record<string, unknown>;
  return { ...upstreamRules.defaults, ...Object.fromEntries(Object.keys(init).map((name) => [name, said[name]])) };
}

const everyPath = leafFields(UpstreamSchema as DescMessage).map(({ path }) => path);
const told = (init: Init, paths: readonly string[] = everyPath) =>
  balancingWarnings(upstream(init), paths).map(({ field, message }) => `${field}: ${message}`);

const { CONSISTENT_HASHING, LATENCY, STICKY_SESSIONS } = Algorithm;

describe("balancingWarnings", () => {
  it.each<{ name: string; init: Init }>([
    { name: "every default", init: {} },
    { name: "hashing of something", init: { algorithm: CONSISTENT_HASHING, hashOn: HashInput.PATH, slots: 100 } },
    { name: "sticky sessions", init: { algorithm: STICKY_SESSIONS, stickySessionsCookie: "c" } },
    { name: "zones", init: { algorithm: LATENCY, balancing: { zones: { preferLocal: true, spillThreshold: 1 } } } },
    { name: "slow start", init: { balancing: { slowStart: { window: { seconds: 1n }, aggression: 2 } } } },
    {
      name: "a queue",
      init: { balancing: { inFlight: { maxPerEndpoint: 1, queueSize: 1, queueTimeout: { seconds: 1n } } } },
    },
  ])("is silent about $name", ({ init }) => {
    expect(told(init)).toEqual([]);
  });

  it.each<{ name: string; init: Init; want: string[] }>([
    {
      name: "hashing of nothing",
      init: { algorithm: CONSISTENT_HASHING },
      want: ["hash_on: nothing is named to be hashed: the client's address is"],
    },
    {
      name: "hashing with another algorithm",
      init: { algorithm: LATENCY, hashOn: HashInput.HEADER, hashOnHeader: "x", slots: 100 },
      want: ["hash_on", "hash_on_header", "slots"].map((field) => `${field}: has no effect with the algorithm latency`),
    },
    {
      name: "a sticky cookie with another algorithm",
      init: { stickySessionsCookie: "c", stickySessionsCookiePath: "/x" },
      want: ["sticky_sessions_cookie", "sticky_sessions_cookie_path"].map(
        (field) => `${field}: has no effect with the algorithm round-robin`,
      ),
    },
    {
      name: "hashing in zones",
      init: {
        algorithm: CONSISTENT_HASHING,
        hashOn: HashInput.IP,
        balancing: { zones: { preferLocal: true } },
      },
      want: ["balancing.zones.prefer_local: nodes in different zones send the same hash to different targets"],
    },
    {
      name: "a threshold of zones that nobody prefers",
      init: { balancing: { zones: { spillThreshold: 50 } } },
      want: ["balancing.zones.spill_threshold: has no effect without prefer_local"],
    },
    {
      name: "a slow start that takes no time",
      init: { balancing: { slowStart: { window: { seconds: 0n }, minWeight: 5 } } },
      want: ["balancing.slow_start.window: there is no slow start without a window above 0"],
    },
    {
      name: "a queue before nothing",
      init: { balancing: { inFlight: { queueSize: 1, queueTimeout: { seconds: 1n } } } },
      want: [
        "balancing.in_flight.queue_size: no request waits without max or max_per_endpoint, but for targets with a max_in_flight of their own",
      ],
    },
  ])("tells of $name", ({ init, want }) => {
    expect(told(init)).toEqual(want);
  });

  it("tells of what the write sets only, in whole or in part", () => {
    const hashing: Init = { algorithm: LATENCY, hashOn: HashInput.IP };
    expect(told(hashing, ["algorithm"])).toEqual([]);
    expect(told(hashing, ["hash_on"])).toHaveLength(1);
    const local: Init = {
      algorithm: CONSISTENT_HASHING,
      hashOn: HashInput.IP,
      balancing: { zones: { preferLocal: true } },
    };
    expect(told(local, ["tags"])).toEqual([]);
    expect(told(local, ["algorithm"])).toHaveLength(1);
    expect(told(local, ["balancing"])).toHaveLength(1);
  });
});
