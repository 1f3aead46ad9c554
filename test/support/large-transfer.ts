import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ContentCheck, MarkedContent } from "./marked-content.ts";

/** How the receiving side takes what comes. */
export interface Pace {
  /** It takes so much as fast as it can, then nothing for a while. */
  readonly burstBytes: number;
  /** In turn. */
  readonly pausesMs: readonly number[];
  /** From this place on, for so many bytes, it takes no more than so much a second. */
  readonly throttledFrom: number;
  readonly throttledBytes: number;
  readonly throttledBytesPerSecond: number;
}

export interface TransferPlan {
  readonly direction: "download" | "upload";
  readonly framing: "length" | "chunked";
  readonly totalBytes: number;
  /** null: as fast as it can. */
  readonly pace: Pace | null;
}

/** Sizes of writes, and so of chunks: of one byte, around the sizes of buffers on the way, and large. */
const writeBytes = [262_144, 1, 16, 8_192, 65_536, 131_071, 131_072, 131_073, 1_000_000];

/** One body on its way from a client to a target or back. */
export class Transfer {
  readonly plan: TransferPlan;
  readonly check: ContentCheck;
  readonly #content = new MarkedContent();
  #sent = 0;
  #sender: ClientRequest | ServerResponse | null = null;
  elapsedMs = 0;

  constructor(plan: TransferPlan) {
    this.plan = plan;
    this.check = new ContentCheck(this.#content);
  }

  get name(): string {
    return `${this.plan.direction}, ${this.plan.framing === "length" ? "content-length" : "chunked"}`;
  }

  /** Bytes that have left the sender and have not reached the receiver. */
  get underWayBytes(): number {
    return this.#sent - (this.#sender?.writableLength ?? 0) - this.check.received;
  }

  /** Bytes that arrived wrong, twice, or not at all. */
  get wrongBytes(): number {
    return this.check.wrongBytes + Math.abs(this.plan.totalBytes - this.check.received);
  }

  get framingHeaders(): Record<string, string> {
    const { framing, totalBytes } = this.plan;
    return framing === "length" ? { "content-length": String(totalBytes) } : { "transfer-encoding": "chunked" };
  }

  /** Writes the whole body, no faster than it is taken. */
  pour(to: ClientRequest | ServerResponse): void {
    this.#sender = to;
    let writes = 0;
    const go = () => {
      while (this.#sent < this.plan.totalBytes) {
        const wanted = Math.min(writeBytes[writes++ % writeBytes.length]!, this.plan.totalBytes - this.#sent);
        const piece = this.#content.piece(this.#sent, wanted);
        this.#sent += piece.length;
        if (to.write(piece)) continue;
        to.once("drain", go);
        return;
      }
      to.end();
    };
    go();
  }

  /** Resolves when the body has ended. Errors: rejects when it is cut. */
  receive(from: IncomingMessage): Promise<void> {
    const { pace } = this.plan;
    let burstLeft = pace?.burstBytes ?? Number.POSITIVE_INFINITY;
    let pauses = 0;
    const restFor = (ms: number) => {
      from.pause();
      setTimeout(() => from.resume(), ms);
    };
    from.on("data", (bytes: Buffer) => {
      this.check.take(bytes);
      if (pace === null) return;
      const inStretch = this.check.received - pace.throttledFrom;
      if (inStretch >= 0 && inStretch < pace.throttledBytes) {
        restFor((bytes.length / pace.throttledBytesPerSecond) * 1_000);
        return;
      }
      burstLeft -= bytes.length;
      if (burstLeft > 0) return;
      burstLeft = pace.burstBytes;
      restFor(pace.pausesMs[pauses++ % pace.pausesMs.length]!);
    });
    return new Promise((resolve, reject) => {
      from.once("end", resolve);
      from.once("error", reject);
    });
  }
}

/** A target that sends or takes the bodies of transfers, by the number at the end of the path. */
export async function openTransferTarget(
  transfers: readonly Transfer[],
): Promise<{ readonly port: number; close(): void }> {
  const server = createServer({ requestTimeout: 0, keepAlive: true }, (asked, answer) => {
    const transfer = transfers[Number(asked.url!.split("/").at(-1))]!;
    if (transfer.plan.direction === "download") {
      answer.writeHead(200, transfer.framingHeaders);
      transfer.pour(answer);
    } else
      void transfer.receive(asked).then(
        () => answer.end("taken"),
        () => answer.destroy(),
      );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The client's side. Errors: rejects when the exchange is cut, or answered otherwise than with 200. */
export async function runTransfer(transfer: Transfer, proxyPort: number, path: string): Promise<void> {
  const startedAtMs = performance.now();
  const isUpload = transfer.plan.direction === "upload";
  const sent = request({
    host: "127.0.0.1",
    port: proxyPort,
    path,
    agent: false,
    method: isUpload ? "POST" : "GET",
    headers: isUpload ? transfer.framingHeaders : {},
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve);
    sent.once("error", reject);
  });
  if (isUpload) transfer.pour(sent);
  else sent.end();
  const answer = await answered;
  if (answer.statusCode !== 200) throw new Error(`${transfer.name}: answered with ${answer.statusCode}`);
  if (isUpload) for await (const _ of answer);
  else await transfer.receive(answer);
  transfer.elapsedMs = performance.now() - startedAtMs;
}
