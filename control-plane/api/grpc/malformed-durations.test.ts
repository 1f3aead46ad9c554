import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { ExplainRequestSchema } from "../../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { CreateServiceRequestSchema } from "../../../proto/gen/penstock/admin/v1/services_pb.ts";
import { CreateUpstreamRequestSchema, UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { startRpcRig } from "../../../test/support/rpc-rig.ts";
import { malformedDurations } from "./malformed-durations.ts";

describe("malformedDurations", () => {
  it.each([
    { seconds: 1n, nanos: 1_000_000_000, isOne: false },
    { seconds: 1n, nanos: 999_999_999, isOne: true },
    { seconds: 1n, nanos: -1, isOne: false },
    { seconds: -1n, nanos: 1, isOne: false },
    { seconds: -1n, nanos: -999_999_999, isOne: true },
    { seconds: 0n, nanos: -(2 ** 31), isOne: false },
    { seconds: 0n, nanos: 0, isOne: true },
  ])("says whether $seconds s and $nanos ns is one", ({ seconds, nanos, isOne }) => {
    const time = { seconds, nanos };
    const upstream = create(CreateUpstreamRequestSchema, {
      upstream: { resilience: { outlier: { baseEjection: time, maxEjection: { seconds: 1n } } } },
    });
    const service = create(CreateServiceRequestSchema, { service: { connectTimeout: time, readTimeout: time } });
    const told = [
      ...malformedDurations(CreateUpstreamRequestSchema, upstream),
      ...malformedDurations(CreateServiceRequestSchema, service),
    ];
    expect(told.map(({ field }) => field)).toEqual(
      isOne ? [] : ["upstream.resilience.outlier.base_ejection", "service.connect_timeout", "service.read_timeout"],
    );
  });

  it("looks into no list of what has none in it: two bytes can be an entry", () => {
    const headers = new Proxy([], {
      get: () => {
        throw new Error("looked into");
      },
    });
    const request = { ...create(ExplainRequestSchema), headers };
    expect(malformedDurations(ExplainRequestSchema, request)).toEqual([]);
  });

  it("are not stored, where they would end every list in JSON", async () => {
    const rig = await startRpcRig();
    onTestFinished(() => rig.close());
    const [inBytes, inJson] = [true, false].map((useBinaryFormat) => {
      const baseUrl = `http://${rig.address}`;
      return createClient(UpstreamsAPI, createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat }));
    });
    const upstream = { name: "u", resilience: { outlier: { baseEjection: { seconds: 1n, nanos: 2_000_000_000 } } } };
    await expect(inBytes!.createUpstream({ upstream })).rejects.toThrow("upstream.resilience.outlier.base_ejection");
    expect((await inJson!.listUpstreams({})).upstreams).toEqual([]);
  });
});
