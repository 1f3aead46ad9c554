import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { connect as connectPlain, isIP } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import type { ProbeConfig } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { type ProbePlace, probeHost } from "./probe-place.ts";
import type { ProbeTls } from "./probe-tls.ts";

const answerMaxBytes = 65_536;
const frameHeadBytes = 5;
const servingNames = new Map<number, string>(
  Object.entries(HealthCheckResponse_ServingStatus).map(([name, status]) => [status as number, name]),
);

/** Calls grpc.health.v1.Health/Check over a connection of its own. Never rejects. */
export function grpcProbe(place: ProbePlace, probe: ProbeConfig, tls: ProbeTls): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = probe.type === "grpcs" ? secureSocket(place, probe, tls) : plainSocket(place);
    const authority = probeHost(place, probe);
    const scheme = probe.type === "grpcs" ? "https" : "http";
    const session = connectHttp2(`${scheme}://${authority}`, { createConnection: () => socket });
    const timer = setTimeout(() => finish({ type: "timeout" }), probe.timeoutMs);
    // A node that ends does not wait for probes.
    socket.unref();
    timer.unref();
    let isOver = false;
    function finish(outcome: ProbeOutcome): void {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      session.destroy();
      socket.destroy();
      resolve(outcome);
    }
    const failed = (error: NodeJS.ErrnoException) => finish({ type: "failed", problem: error.code ?? error.message });
    socket.on("error", failed);
    session.on("error", failed);
    session.once("close", () => finish({ type: "failed", problem: "closed before an answer" }));
    // Whoever listens on another protocol's port would leave a request unanswered: its settings say that it speaks HTTP/2.
    session.once("remoteSettings", () => check(session, probe, finish));
  });
}

function check(session: ClientHttp2Session, probe: ProbeConfig, finish: (outcome: ProbeOutcome) => void): void {
  if (session.destroyed) return;
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
    [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
    [constants.HTTP2_HEADER_TE]: "trailers",
    [constants.HTTP2_HEADER_USER_AGENT]: "penstock-probe",
  });
  let headers: IncomingHttpHeaders = {};
  let bytes: Buffer = Buffer.alloc(0);
  // What is told in trailers may come with the headers where there is no message.
  stream.on("response", (given) => {
    headers = given;
  });
  stream.on("trailers", (given) => {
    headers = { ...headers, ...given };
  });
  stream.on("data", (piece: Buffer) => {
    bytes = Buffer.concat([bytes, piece]);
    if (bytes.length > answerMaxBytes) finish({ type: "bad_answer", problem: "too long a message" });
  });
  stream.on("error", (error: Error) => finish({ type: "failed", problem: error.message }));
  stream.on("close", () => finish(outcomeOf(headers, bytes)));
  stream.end(requestBytes(probe.grpcService));
}

function requestBytes(service: string): Buffer {
  const message = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
  const frame = Buffer.alloc(frameHeadBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeadBytes);
  return frame;
}

function outcomeOf(headers: IncomingHttpHeaders, bytes: Buffer): ProbeOutcome {
  const status = (headers as Record<string, unknown>)[constants.HTTP2_HEADER_STATUS];
  if (status === undefined) return { type: "failed", problem: "closed before an answer" };
  if (Number(status) !== 200) return { type: "bad_answer", problem: `HTTP status ${status}` };
  const grpcStatus = headers["grpc-status"];
  if (grpcStatus !== "0") return { type: "bad_answer", problem: `gRPC status ${grpcStatus ?? "missing"}` };
  const length = bytes.length < frameHeadBytes ? -1 : bytes.readUInt32BE(1);
  if (bytes[0] !== 0 || bytes.length !== frameHeadBytes + length) {
    return { type: "bad_answer", problem: "what is no message" };
  }
  try {
    const { status: served } = fromBinary(HealthCheckResponseSchema, bytes.subarray(frameHeadBytes));
    if (served === HealthCheckResponse_ServingStatus.SERVING) return { type: "serving" };
    return { type: "bad_answer", problem: servingNames.get(served) ?? `serving status ${served}` };
  } catch {
    return { type: "bad_answer", problem: "what is no message" };
  }
}

function plainSocket({ address, port }: ProbePlace) {
  return connectPlain({ host: address, port, noDelay: true });
}

function secureSocket({ address, port, host }: ProbePlace, probe: ProbeConfig, tls: ProbeTls) {
  const name = probe.serverName ?? host;
  return connectTls({
    host: address,
    port,
    secureContext: tls.context(probe),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: probe.isVerified,
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    ...(isIP(name) === 0 ? { servername: name } : {}),
  });
}
