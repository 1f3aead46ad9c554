import {
  create,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, type ServiceError, status } from "@grpc/grpc-js";
import { EnrolAPI } from "../../proto/gen/penstock/sync/v1/enrol_pb.ts";
import type { Access } from "../sync/sync-access.ts";

/** Why a control plane gave no certificate. */
export class EnrolError extends Error {
  /** Whether it was an answer, and not that there was none. */
  readonly isRefusal: boolean;
  /** Whether the node's key was revoked, and another one may do. */
  readonly isKeyRevoked: boolean;

  constructor(message: string, code: status) {
    super(message);
    this.isRefusal = code !== status.UNAVAILABLE && code !== status.DEADLINE_EXCEEDED;
    this.isKeyRevoked = code === status.FAILED_PRECONDITION;
  }
}

const timeoutMs = 10_000;
const messageMaxBytes = 256 * 1024;

export interface Enrolment {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly authority: string;
}

/** What is shown to get a first certificate. */
export interface JoinProof {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly nodeId: string;
  /** DER. */
  readonly certificateRequest: Uint8Array;
}

/** Errors: rejects with an EnrolError. */
export function enrol(address: string, access: Access, proof: JoinProof): Promise<Enrolment> {
  return call(address, access, EnrolAPI.method.enrol, proof);
}

/** Errors: rejects with an EnrolError. */
export function renew(address: string, access: Access, certificateRequest: Uint8Array): Promise<Enrolment> {
  return call(address, access, EnrolAPI.method.renew, { certificateRequest });
}

function call<M extends DescMethod>(
  address: string,
  access: Access,
  method: M,
  request: MessageInitShape<M["input"]>,
): Promise<MessageShape<M["output"]>> {
  if (!access.ok) return Promise.reject(new EnrolError(access.problem, status.UNAVAILABLE));
  const client = new Client(address, access.credentials, {
    ...access.channelOptions,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.max_receive_message_length": messageMaxBytes,
    "grpc.enable_channelz": 0,
  });
  const serialize = (message: Message) => Buffer.from(toBinary(method.input, message));
  const deserialize = (bytes: Buffer) => fromBinary(method.output, new Uint8Array(bytes));
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      serialize,
      deserialize,
      create(method.input, request),
      { deadline: Date.now() + timeoutMs },
      (error: ServiceError | null, response?: Message) => {
        client.close();
        if (error !== null) reject(new EnrolError(`${address}: ${error.details || error.message}`, error.code));
        else resolve(response as MessageShape<M["output"]>);
      },
    );
  });
}
