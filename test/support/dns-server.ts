import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket as TcpSocket } from "node:net";
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, RECURSION_AVAILABLE, TRUNCATED_RESPONSE } from "dns-packet";

/** What a name server answers to one question. */
export interface ScriptedAnswer {
  /** 0 unless said; 2 SERVFAIL, 3 NXDOMAIN. */
  readonly rcode?: number;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  /** Says nothing at all. */
  readonly isSilent?: boolean;
  /** Over UDP, says only that the answer is too long for it. */
  readonly isTruncated?: boolean;
  /** Neither authoritative nor willing to ask others. */
  readonly isReferral?: boolean;
  /** Sent instead of all that. */
  readonly raw?: (query: Buffer) => Buffer;
  /** Nothing is sent before it resolves. */
  readonly hold?: Promise<unknown>;
}

export interface AskedQuestion {
  readonly name: string;
  readonly type: string;
  readonly transport: "udp" | "tcp";
  readonly id: number;
  /** Where it came from. */
  readonly port: number;
  readonly hasEdns: boolean;
}

/** Decides what is answered; asked for every question that arrives. */
export type AnswerQuestion = (question: AskedQuestion) => ScriptedAnswer;

export interface TestDnsServer {
  readonly host: string;
  readonly port: number;
  /** host:port */
  readonly address: string;
  /** Every question, in the order in which they came. */
  readonly asked: readonly AskedQuestion[];
  /** To be set by the test, at any time. */
  answer: AnswerQuestion;
  /** Resolves when so many questions were answered since the start; those left without a reply count, too. */
  answered(count: number): Promise<void>;
  close(): Promise<void>;
}

/** A name server on loopback, over UDP and TCP on one port, that says what the test makes it say. */
export async function startDnsServer(answer: AnswerQuestion): Promise<TestDnsServer> {
  const { udp, tcp } = await bindBoth();
  const asked: AskedQuestion[] = [];
  const waiters: { count: number; resolve: () => void }[] = [];
  let answeredCount = 0;
  let isClosed = false;
  const tcpSockets = new Set<TcpSocket>();
  const { port } = udp.address();
  const server = {
    ...{ host: "127.0.0.1", port, address: `127.0.0.1:${port}`, asked, answer },
    answered: (count: number) =>
      new Promise<void>((resolve) => {
        if (answeredCount >= count) resolve();
        else waiters.push({ count, resolve });
      }),
    async close() {
      if (isClosed) return;
      isClosed = true;
      for (const socket of tcpSockets) socket.destroy();
      await Promise.all([new Promise<void>((done) => udp.close(done)), new Promise((done) => tcp.close(done))]);
    },
  };

  async function reply(query: Buffer, transport: "udp" | "tcp", peerPort: number): Promise<Buffer | null> {
    const { id = 0, questions = [], additionals = [] } = decode(query);
    const { name = "", type = "A" } = questions[0] ?? {};
    const hasEdns = additionals.some((record) => record.type === "OPT");
    const question = { name: name.toLowerCase(), type, transport, id, port: peerPort, hasEdns };
    asked.push(question);
    const scripted = server.answer(question);
    await scripted.hold;
    answeredCount++;
    for (const waiter of waiters.splice(0)) {
      if (waiter.count <= answeredCount) waiter.resolve();
      else waiters.push(waiter);
    }
    return scripted.isSilent === true ? null : (scripted.raw?.(query) ?? encodeReply(query, transport, scripted));
  }

  udp.on("message", (query: Buffer, peer: RemoteInfo) => {
    void reply(query, "udp", peer.port).then((bytes) => {
      if (bytes !== null) udp.send(bytes, peer.port, peer.address, () => {});
    });
  });
  tcp.on("connection", (socket) => {
    tcpSockets.add(socket);
    socket.on("error", () => {}).on("close", () => tcpSockets.delete(socket));
    let received = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      void reply(received.subarray(2), "tcp", socket.remotePort ?? 0).then((message) => {
        if (message === null) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(message.length);
        // In two pieces: a reader must not take one read for one message.
        socket.write(Buffer.concat([length, message.subarray(0, 5)]));
        socket.write(message.subarray(5));
      });
    });
  });
  return server;
}

function encodeReply(query: Buffer, transport: "udp" | "tcp", scripted: ScriptedAnswer): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const isTruncated = scripted.isTruncated === true && transport === "udp";
  const kind = scripted.isReferral === true ? 0 : AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE;
  return encode({
    type: "response",
    id,
    flags: kind | (isTruncated ? TRUNCATED_RESPONSE : 0) | (scripted.rcode ?? 0),
    questions,
    answers: isTruncated ? [] : [...(scripted.answers ?? [])],
    authorities: [...(scripted.authorities ?? [])],
  });
}

/** A port that is free for both. */
async function bindBoth(): Promise<{ udp: Socket; tcp: Server }> {
  for (;;) {
    const tcp = createServer().listen(0, "127.0.0.1");
    await once(tcp, "listening");
    const udp = createSocket("udp4");
    try {
      udp.bind((tcp.address() as AddressInfo).port, "127.0.0.1");
      await once(udp, "listening");
      return { udp, tcp };
    } catch {
      // Somebody has the port for UDP.
      udp.close();
      tcp.close();
    }
  }
}

/** Address records of a name; IPv6 ones where the text has a colon. */
export function addressRecords(name: string, addresses: readonly string[], ttl = 60): Answer[] {
  return addresses.map((data) => ({ name, type: data.includes(":") ? "AAAA" : "A", class: "IN", ttl, data }));
}

export function aliasRecord(name: string, target: string, ttl = 60): Answer {
  return { name, type: "CNAME", class: "IN", ttl, data: target };
}

export interface ServicePlace {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

export function serviceRecords(name: string, places: readonly ServicePlace[], ttl = 60): Answer[] {
  return places.map((data) => ({ name, type: "SRV", class: "IN", ttl, data: { priority: 0, weight: 1, ...data } }));
}

/** What goes with an answer that there is nothing. */
export function authorityRecord(minimum: number, ttl = 3_600): Answer {
  const serial = { serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
  return { name: "test", type: "SOA", class: "IN", ttl, data: { mname: "ns.test", rname: "root.test", ...serial } };
}

/** Answers from records by name and type: nothing of the type is an empty answer, no record at all is NXDOMAIN. */
export function answerFrom(records: readonly Answer[]): AnswerQuestion {
  return ({ name, type }) => {
    const ofName = records.filter((record) => record.name === name);
    if (ofName.length === 0) return { rcode: 3 };
    return { answers: ofName.filter((record) => record.type === type || record.type === "CNAME") };
  };
}
