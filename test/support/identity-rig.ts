import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { create, type DescMethod, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { pino } from "pino";
import { afterEach } from "vitest";
import type { NodeTokenOrder } from "../../control-plane/identity/node-tokens.ts";
import {
  openSyncIdentity,
  type SyncIdentity,
  type SyncIdentityMode,
} from "../../control-plane/identity/open-sync-identity.ts";
import { grpcDefinition } from "../../control-plane/sync/grpc-definition.ts";
import { type SyncHub, startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import { certificateRequest } from "../../data-plane/identity/certificate-request.ts";
import { type JoinToken, readJoinToken } from "../../data-plane/identity/read-join-token.ts";
import { EnrolAPI } from "../../proto/gen/penstock/sync/v1/enrol_pb.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryStore } from "./memory-store.ts";
import { ScriptedNode } from "./scripted-node.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A clock that stands at the real time, since OpenSSL looks at certificates by that one. */
export class PresentClock extends ManualClock {
  readonly #offsetMs = Date.now() - super.unixMs();

  override unixMs(): number {
    return super.unixMs() + this.#offsetMs;
  }
}

/** A node's key, and the certificate that it was given. */
export interface NodeKeys {
  readonly key: KeyObject;
  readonly cert: string;
  readonly authority: string;
}

export const hourMs = 3_600_000;

/** A hub with TLS on loopback, and its clients; closed when the test has ended. */
export async function startSecuredHub(
  mode: SyncIdentityMode = { type: "built_in", certificateLifeMs: 24 * hourMs },
  store = new MemoryStore(),
) {
  const clock = new PresentClock();
  const log = pino({ level: "silent" });
  const identity = await openSyncIdentity({ mode, store, clock, log });
  const secured = identity.secured!;
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const hub = await startSyncHub({ listen, log, clock, closeGraceMs: 50, store, secured });
  cleanups.push(async () => {
    await hub.close();
    identity.close();
  });
  const address = `127.0.0.1:${hub.addresses[0]!.port}`;
  return new SecuredHub({ store, clock, identity, hub, address });
}

class SecuredHub {
  readonly store: MemoryStore;
  readonly clock: PresentClock;
  readonly identity: SyncIdentity;
  readonly hub: SyncHub;
  readonly address: string;

  constructor(parts: Pick<SecuredHub, "store" | "clock" | "identity" | "hub" | "address">) {
    this.store = parts.store;
    this.clock = parts.clock;
    this.identity = parts.identity;
    this.hub = parts.hub;
    this.address = parts.address;
  }

  async token(order: Partial<NodeTokenOrder> = {}): Promise<JoinToken> {
    const made = await this.identity.identities.makeToken({ ttlMs: hourMs, labels: {}, nodeId: "", ...order });
    if (!made.ok) throw new Error(made.problem);
    return readJoinToken(made.value.text)!;
  }

  /** Joins with a token; of a refusal, the code and the cause. */
  async join(token: JoinToken, nodeId: string, key: KeyObject = newKey()): Promise<NodeKeys> {
    const request = { tokenId: token.id, secret: token.secret, nodeId, certificateRequest: certificateRequest(key) };
    const { certificate, authority } = await this.call(EnrolAPI.method.enrol, request);
    return { key, cert: certificate, authority };
  }

  async joinNew(nodeId: string, order: Partial<NodeTokenOrder> = {}): Promise<NodeKeys> {
    return await this.join(await this.token(order), nodeId);
  }

  async renew(keys: NodeKeys, key: KeyObject = keys.key): Promise<NodeKeys> {
    const request = { certificateRequest: certificateRequest(key) };
    const { certificate, authority } = await this.call(EnrolAPI.method.renew, request, tlsAs(keys));
    return { key, cert: certificate, authority };
  }

  /** A call of EnrolAPI. Errors: rejects with a Refused. @param channel default: TLS without a certificate */
  call<M extends DescMethod>(
    method: M,
    request: MessageInitShape<M["input"]>,
    channel: ChannelCredentials = tlsAs(null),
  ): Promise<MessageShape<M["output"]>> {
    const { path, requestSerialize, responseDeserialize } = grpcDefinition(method.parent)[method.localName]!;
    const client = new Client(this.address, channel, { "grpc.use_local_subchannel_pool": 1 });
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: unknown) => {
        client.close();
        if (error !== null) reject(new Refused(error.code, error.details));
        else resolve(response as MessageShape<M["output"]>);
      };
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, create(method.input, request), done);
    });
  }

  /** A stream with a node's certificate, or with TLS alone. */
  connect(keys: NodeKeys | null, channel: ChannelCredentials = tlsAs(keys)): ScriptedNode {
    const node = new ScriptedNode(this.address, channel);
    cleanups.push(() => node.close());
    return node;
  }

  /** A stream that has said hello and was answered. */
  async connected(keys: NodeKeys, nodeId: string): Promise<ScriptedNode> {
    const node = this.connect(keys);
    node.hello(nodeId);
    await node.next("heartbeat");
    return node;
  }

  /** Digest of the last certificate of the chain that the port shows, which a join token names. */
  shownAuthorityDigest(): Promise<string> {
    const [host, port] = this.address.split(":");
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ["h2"] }, () => {
        const issuer = socket.getPeerX509Certificate()?.issuerCertificate;
        socket.destroy();
        resolve(createHash("sha256").update(issuer!.raw).digest("hex"));
      });
      socket.on("error", reject);
    });
  }
}

/** How a call was refused. */
export class Refused extends Error {
  readonly code: number;

  constructor(code: number, cause: string) {
    super(cause);
    this.code = code;
  }
}

export function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/** TLS as a node with its certificate, or with none; trusts any server. */
export function tlsAs(keys: NodeKeys | null): ChannelCredentials {
  const [key, cert] = keys === null ? [null, null] : [pemOf(keys.key), Buffer.from(keys.cert)];
  return credentials.createSsl(null, key, cert, { rejectUnauthorized: false });
}

function pemOf(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: "pkcs8", format: "pem" }));
}

/** A key and a certificate in PEM as a node's. */
export function nodeKeys(pair: { readonly keyPem: string; readonly chainPem: string }): NodeKeys {
  return { key: createPrivateKey(pair.keyPem), cert: pair.chainPem, authority: "" };
}

export function namesOf(certificate: string): string | undefined {
  return new X509Certificate(certificate).subjectAltName;
}
