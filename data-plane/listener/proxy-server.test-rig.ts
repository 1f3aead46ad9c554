import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { onTestFinished } from "vitest";
import { defaultResilience, type ResilienceConfig } from "../config/resilience-config.ts";
import { noTls, type TlsConfig } from "../config/tls-config.ts";
import type { TlsSettings } from "../config/tls-settings.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig, PoolConfig, RouteConfig, ServiceConfig, WorkerConfig } from "../config/worker-config.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { type ListenPlace, ProxyServer, type ProxyServerOptions } from "./proxy-server.ts";
import { tlsSettings } from "./tls-settings.test-rig.ts";

/** A message as it came over a socket: its head's text and its body, still in its framing. */
export interface RawMessage {
  readonly head: string;
  readonly body: string;
}

/** Cuts messages out of a byte stream as a lenient reader does: the tests judge what it found. */
export class MessageReader {
  text = "";

  /** @param hasBody false for answers to HEAD and 304 */
  take(hasBody = true): RawMessage | null {
    const headEnd = this.text.indexOf("\r\n\r\n");
    if (headEnd < 0) return null;
    const head = this.text.slice(0, headEnd + 4);
    const length = hasBody ? /^content-length: (\d+)/im.exec(head) : null;
    const isChunked = hasBody && /^transfer-encoding: chunked/im.test(head);
    let end = head.length;
    if (length !== null) end += Number(length[1]);
    else if (isChunked) {
      end = chunkedEnd(this.text, headEnd + 4);
      if (end < 0) return null;
    }
    if (this.text.length < end) return null;
    const message = { head, body: this.text.slice(head.length, end) };
    this.text = this.text.slice(end);
    return message;
  }
}

/** Position after the trailer section of a chunked body, or -1. */
function chunkedEnd(text: string, from: number): number {
  let at = from;
  for (let isInTrailers = false; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return -1;
    if (isInTrailers && lineEnd === at) return at + 2;
    const size: number = isInTrailers ? 0 : Number.parseInt(text.slice(at, lineEnd), 16);
    if (Number.isNaN(size)) return -1;
    isInTrailers ||= size === 0;
    at = lineEnd + 2 + (size > 0 ? size + 2 : 0);
  }
}

export interface Backend {
  readonly port: number;
  readonly requests: RawMessage[];
  readonly sockets: Set<Socket>;
  connectionCount: number;
  close(): Promise<void>;
}

/** A server that answers each request with what `answer` writes. */
export async function openBackend(
  answer: (request: RawMessage, socket: Socket, connectionNumber: number) => void,
): Promise<Backend> {
  return await openRawBackend((socket, number, backend) => {
    const reader = new MessageReader();
    socket.on("data", (bytes) => {
      reader.text += bytes.toString("latin1");
      for (let request = reader.take(); request !== null; request = reader.take()) {
        backend.requests.push(request);
        answer(request, socket, number);
      }
    });
  });
}

export async function openRawBackend(
  onConnection: (socket: Socket, connectionNumber: number, backend: Backend) => void,
): Promise<Backend> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true });
  const backend: Backend = {
    port: 0,
    requests: [],
    sockets,
    connectionCount: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket, ++backend.connectionCount, backend);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(backend, { port: (server.address() as AddressInfo).port });
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const backend = await openRawBackend(() => {});
  await backend.close();
  return backend.port;
}

export function answerText(body: string, lines = ""): string {
  return `HTTP/1.1 200 OK\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A client that sends what it is told to, byte for byte. */
export class RawClient {
  readonly socket: Socket;
  /** How the proxy ended the connection. */
  readonly closed: Promise<"end" | "reset">;
  /** Itself, or what carries it. */
  readonly #carrier: Socket;
  readonly #reader = new MessageReader();
  #wake: () => void = () => {};
  #isClosed = false;

  constructor(port: number, localAddress = "127.0.0.1", isTls = false) {
    this.#carrier = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    this.socket = isTls ? connectTls({ socket: this.#carrier, rejectUnauthorized: false }) : this.#carrier;
    this.closed = new Promise((resolve) => {
      let outcome: "end" | "reset" = "end";
      this.socket.on("error", () => {
        outcome = "reset";
      });
      this.socket.on("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve(outcome);
      });
    });
    this.socket.on("data", (bytes) => {
      this.#reader.text += bytes.toString("latin1");
      this.#wake();
    });
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** The next answer; rejects when the connection ends before it is whole. */
  async answer(hasBody = true): Promise<RawMessage> {
    for (;;) {
      const message = this.#reader.take(hasBody);
      if (message !== null) return message;
      if (this.#isClosed) throw new Error(`closed before an answer; received: ${this.#reader.text.slice(0, 300)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Everything that came and no answer was cut out of, once the connection is closed. */
  async rest(): Promise<string> {
    await this.closed;
    return this.#reader.text;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Ends the connection with an RST. */
  reset(): void {
    this.#carrier.resetAndDestroy();
  }
}

export const routeDefaults: RouteConfig = {
  id: "route-1",
  name: null,
  createdAtMs: 0,
  protocols: ["http", "https"],
  methods: null,
  hosts: null,
  paths: ["/"],
  headers: null,
  snis: null,
  regexPriority: 0,
  stripPath: true,
  preserveHost: false,
  httpsRedirectStatus: 426,
  bodyMaxBytes: null,
  totalTimeoutMs: null,
  allowsEncodedSlashes: false,
  retry: null,
  serviceIndex: 0,
};

export const serviceDefaults: ServiceConfig = {
  id: "service-1",
  name: null,
  protocol: "http",
  isProtocolSupported: true,
  path: null,
  retries: 5,
  connectTimeoutMs: 5_000,
  writeTimeoutMs: 5_000,
  readTimeoutMs: 5_000,
  tls: null,
  poolIndex: 0,
};

/** Over TLS, what is read comes by `onread`, or by events. */
export type Transport = "plain" | "TLS" | "TLS by events";

export interface RigOptions {
  readonly ports: readonly number[];
  readonly routes?: readonly Partial<RouteConfig>[];
  readonly service?: Partial<ServiceConfig>;
  readonly moreServices?: readonly Partial<ServiceConfig>[];
  readonly hostHeader?: string;
  /** What is said of the upstream beyond the other options. */
  readonly pool?: Partial<PoolConfig>;
  /** What is said of the endpoint on each port. */
  readonly endpoints?: readonly Partial<EndpointConfig>[];
  /** Default: as for an upstream that says nothing. */
  readonly resilience?: ResilienceConfig;
  readonly tls?: TlsConfig;
  readonly server?: Partial<ProxyServerOptions & ListenPlace>;
  /** Opens a port for TLS. */
  readonly tlsSettings?: Partial<TlsSettings>;
  /** How the rig's clients connect; over TLS by its defaults, unless told otherwise. Default: plain. */
  readonly transport?: Transport;
}

interface Told {
  readonly ejected: string[];
  readonly trials: string[];
  readonly defects: unknown[];
}

/** A proxy in this thread, in front of backends on the given ports. */
export class Rig {
  readonly server: ProxyServer;
  readonly table: EndpointTable;
  readonly ejected: string[];
  /** What was told of requests to endpoints that are out. */
  readonly trials: string[];
  readonly defects: unknown[];
  readonly #poolRow: number;
  readonly #clients: RawClient[] = [];
  #publication = 0;
  #isPlain = true;

  private constructor(server: ProxyServer, table: EndpointTable, told: Told) {
    this.server = server;
    this.table = table;
    this.ejected = told.ejected;
    this.trials = told.trials;
    this.defects = told.defects;
    this.#poolRow = table.allocatePoolRow()!;
  }

  static async open(options: RigOptions | null): Promise<Rig> {
    const table = EndpointTable.create({ endpointRowsMax: 64, poolRowsMax: 8 });
    const told: Told = { ejected: [], trials: [], defects: [] };
    const { ejected, trials, defects } = told;
    const isPlain = (options?.transport ?? "plain") === "plain";
    const readMode = options?.transport === "TLS by events" ? "events" : "onread";
    const hasTls = !isPlain || options?.tlsSettings !== undefined;
    const settings = hasTls ? tlsSettings({ readMode, ...options?.tlsSettings }) : null;
    const place = { hosts: ["127.0.0.1"], port: 0, reusePort: false };
    const server = await ProxyServer.open(
      {
        ...place,
        endpoints: table,
        version: "0.0.1",
        onEjected: (poolKey, row, cause) => ejected.push(`${poolKey} ${row} ${cause}`),
        onTrial: (row, outcome, cause) => trials.push(`${row} ${outcome}${cause && ` ${cause}`}`),
        onDefect: (error) => defects.push(error),
        tls: settings,
        ...options?.server,
      },
      settings === null ? null : place,
    );
    const rig = new Rig(server, table, told);
    rig.#isPlain = isPlain;
    if (options !== null) rig.apply(options);
    return rig;
  }

  /** The same endpoints under another configuration. */
  reapply(options: RigOptions): void {
    this.apply(
      options,
      options.ports.map((_, i) => i),
    );
  }

  /** @param rows of the endpoints; new ones by default */
  apply(options: RigOptions, rows: readonly number[] = []): void {
    const endpoints = options.ports.map((port, i) =>
      testEndpoint({
        row: rows[i] ?? this.table.allocateEndpointRow()!,
        port,
        weight: 100,
        hostHeader: `target.test:${port}`,
        ...options.endpoints?.[i],
      }),
    );
    const config: WorkerConfig = {
      publication: ++this.#publication,
      revision: this.#publication,
      routes: (options.routes ?? [{}]).map((route, index) => ({ ...routeDefaults, id: `route-${index}`, ...route })),
      services: [options.service, ...(options.moreServices ?? [])].map((each) => ({ ...serviceDefaults, ...each })),
      pools: [
        testPool({
          poolRow: this.#poolRow,
          hostHeader: options.hostHeader ?? null,
          resilience: options.resilience ?? defaultResilience,
          ...options.pool,
        }),
      ],
      tls: options.tls ?? noTls,
    };
    this.server.apply(config, [testSet(endpoints)]);
  }

  /** @param localAddress where the client comes from */
  client(localAddress = "127.0.0.1"): RawClient {
    const port = this.#isPlain ? this.server.port : this.server.tlsPort!;
    const client = new RawClient(port, localAddress, !this.#isPlain);
    this.#clients.push(client);
    return client;
  }

  /** One request on a connection of its own. */
  async ask(text: string, hasBody = true): Promise<RawMessage> {
    const client = this.client().send(text);
    try {
      return await client.answer(hasBody);
    } finally {
      client.close();
    }
  }

  counter(name: Parameters<ProxyServer["engine"]["counters"]["value"]>[0]): number {
    return this.server.engine.counters.value(name);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server.close();
    // Whatever happened in the test: what was counted as under way must have been uncounted, once.
    const rows = Array.from({ length: 64 }, (_, row) => this.table.inFlight(row));
    if (rows.some((count) => count !== 0)) throw new Error(`attempts left in flight by row: ${rows}`);
    const { admissions } = this.table;
    const held = [admissions.admittedToPool(this.#poolRow), admissions.waitingCount(this.#poolRow)];
    if (held.some((count) => count !== 0)) throw new Error(`left admitted to the pool, and waiting: ${held}`);
  }
}

/** Waits until something is so, looking again with every turn of the event loop. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

export function get(path: string, lines = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`;
}

export function post(path: string, body: string, lines = ""): string {
  return `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`;
}

/** `Rig.open`, closed when the test has finished. */
export async function rig(options: RigOptions | null): Promise<Rig> {
  const made = await Rig.open(options);
  onTestFinished(() => made.close());
  return made;
}

/** `openBackend`, closed when the test has finished. */
export async function backend(answer: Parameters<typeof openBackend>[0]): Promise<Backend> {
  const made = await openBackend(answer);
  onTestFinished(() => made.close());
  return made;
}

/** `openRawBackend`, closed when the test has finished. */
export async function rawBackend(onConnection: Parameters<typeof openRawBackend>[0]): Promise<Backend> {
  const made = await openRawBackend(onConnection);
  onTestFinished(() => made.close());
  return made;
}
