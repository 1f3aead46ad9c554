import type { ProbeConfig } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { httpProbe } from "./http-probe.ts";
import type { ProbePlace } from "./probe-place.ts";
import { ProbeTls } from "./probe-tls.ts";
import { tcpCheck } from "./tcp-check.ts";

/** Sends one probe. Never rejects. */
export type SendProbe = (place: ProbePlace, probe: ProbeConfig) => Promise<ProbeOutcome>;

/** @param nodeCaPems the authorities trusted for https and grpcs; null = those that come with Node */
export function probeSender(nodeCaPems: readonly string[] | null): SendProbe {
  const tls = new ProbeTls(nodeCaPems);
  return async (place, probe) => {
    try {
      switch (probe.type) {
        case "http":
        case "https":
          return await httpProbe(place, probe, tls);
        case "tcp":
          return await tcpProbe(place, probe);
        case "grpc":
        case "grpcs": {
          // Few need it, and it brings HTTP/2 along.
          const { grpcProbe } = await import("./grpc-probe.ts");
          return await grpcProbe(place, probe, tls);
        }
      }
    } catch (cause) {
      // A certificate that cannot be loaded, a port that is none: nothing that could be sent.
      return { type: "failed", problem: (cause as Error).message };
    }
  };
}

async function tcpProbe({ address, port }: ProbePlace, { timeoutMs }: ProbeConfig): Promise<ProbeOutcome> {
  const problem = await tcpCheck(address, port, timeoutMs);
  if (problem === null) return { type: "connected" };
  return problem === "timeout" ? { type: "timeout" } : { type: "failed", problem };
}
