import { create } from "@bufbuild/protobuf";
import { type ServerUnaryCall, type sendUnaryData, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import {
  EnrolAPI,
  type EnrolRequest,
  type EnrolResponse,
  EnrolResponseSchema,
  type RenewRequest,
  type RenewResponse,
  RenewResponseSchema,
} from "../../proto/gen/penstock/sync/v1/enrol_pb.ts";
import { grpcDefinition } from "../sync/grpc-definition.ts";
import type { Log } from "../telemetry/log.ts";
import {
  type Certified,
  type CertifyContext,
  type CertifyReason,
  certifyJoin,
  certifyRenewal,
} from "./certify-node.ts";
import type { NodeGate } from "./node-gate.ts";
import type { RefusalLog } from "./refusal-log.ts";

export interface EnrolServiceOptions extends CertifyContext {
  readonly gate: Pick<NodeGate, "judgePeer">;
  readonly refusals: RefusalLog;
  readonly log: Log;
  /** Whether a connection is without TLS. @param peer `address:port` */
  readonly isPlain: (peer: string) => boolean;
}

/** A service of the sync port, as grpc-js takes it. */
export interface SyncService {
  readonly definition: ReturnType<typeof grpcDefinition>;
  readonly implementation: UntypedServiceImplementation;
}

const codes: { readonly [R in CertifyReason]: status } = {
  token: status.UNAUTHENTICATED,
  duplicate: status.ALREADY_EXISTS,
  revoked: status.PERMISSION_DENIED,
  revoked_key: status.FAILED_PRECONDITION,
  request: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
};

/** EnrolAPI: gives nodes their certificates. Every refusal is told to the node, and recorded for people. */
export function enrolService(options: EnrolServiceOptions): SyncService {
  const { refusals, log, gate } = options;
  const { certificate: authority } = options.authority;

  /** Answers a call with what became of it; a fault of ours costs this call, nothing else. */
  async function answer<T>(callback: sendUnaryData<T>, run: () => Promise<T | Refusal>): Promise<void> {
    try {
      const outcome = await run();
      if (outcome instanceof Refusal) callback({ code: outcome.code, details: outcome.cause });
      else callback(null, outcome);
    } catch (error) {
      log.error({ err: error }, "a node's certificate could not be made");
      callback({ code: status.INTERNAL, details: "the control plane failed on this call" });
    }
  }

  async function enrol(call: ServerUnaryCall<EnrolRequest, EnrolResponse>): Promise<EnrolResponse | Refusal> {
    const { tokenId, secret, nodeId, certificateRequest } = call.request;
    const peer = call.getPeer();
    const refuse = (code: status, cause: string) => {
      refusals.record({ action: "join", peer, nodeId, tokenId, cause });
      return new Refusal(code, cause);
    };
    // Before anything is looked at, and not recorded: what is refused here came too often already.
    if (refusals.isLimited(peer))
      return new Refusal(status.RESOURCE_EXHAUSTED, "too many joins from this address failed; try again in a minute");
    if (options.isPlain(peer)) return refuse(status.UNAUTHENTICATED, "a node joins over TLS only");
    const certified: Certified = await certifyJoin(options, { tokenId, secret, nodeId, certificateRequest });
    if (!certified.ok) return refuse(codes[certified.reason], certified.cause);
    log.info({ node: nodeId, token: tokenId, expires: isoTime(certified.expiresAtMs) }, "a node has joined");
    return create(EnrolResponseSchema, { certificate: certified.certificate, authority });
  }

  async function renew(call: ServerUnaryCall<RenewRequest, RenewResponse>): Promise<RenewResponse | Refusal> {
    const refuse = (nodeId: string, code: status, cause: string) => {
      refusals.record({ action: "renew", peer: call.getPeer(), nodeId, tokenId: "", cause });
      return new Refusal(code, cause);
    };
    const judged = gate.judgePeer(call);
    if (!judged.ok) return refuse(judged.nodeId, judged.refusal.code, judged.refusal.cause);
    const { nodeId, keyHash } = judged.peer;
    const certified = await certifyRenewal(options, nodeId, keyHash, call.request.certificateRequest);
    if (!certified.ok) return refuse(nodeId, codes[certified.reason], certified.cause);
    log.info({ node: nodeId, expires: isoTime(certified.expiresAtMs) }, "a node's certificate is renewed");
    return create(RenewResponseSchema, { certificate: certified.certificate, authority });
  }

  return {
    definition: grpcDefinition(EnrolAPI),
    implementation: {
      enrol: (call: ServerUnaryCall<EnrolRequest, EnrolResponse>, callback: sendUnaryData<EnrolResponse>) =>
        void answer(callback, () => enrol(call)),
      renew: (call: ServerUnaryCall<RenewRequest, RenewResponse>, callback: sendUnaryData<RenewResponse>) =>
        void answer(callback, () => renew(call)),
    },
  };
}

class Refusal {
  readonly code: status;
  readonly cause: string;

  constructor(code: status, cause: string) {
    this.code = code;
    this.cause = cause;
  }
}

function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
