import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP forwarder whose link can be cut and healed. While it is cut nothing passes and nobody is told: what is sent
 * stays under way, and who connects is not answered. Afterwards what waited goes on, as retransmitted segments do;
 * connections that one side has given up meanwhile are reset.
 */
export class SeverableLink {
  readonly #server: Server;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<{ readonly near: Socket; far: Socket | null }>();
  #isCut = false;

  private constructor(server: Server, to: { readonly host: string; readonly port: number }) {
    this.#server = server;
    this.#to = to;
  }

  /** @param to host:port of what is behind it */
  static async open(to: string): Promise<SeverableLink> {
    const at = to.lastIndexOf(":");
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    const link = new SeverableLink(server, { host: to.slice(0, at), port: Number(to.slice(at + 1)) });
    server.on("connection", (near) => link.#accept(near));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return link;
  }

  /** host:port to connect to instead. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far?.pause();
    }
  }

  heal(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) {
      pair.far ??= this.#reach(pair.near);
      pair.near.resume();
      pair.far.resume();
    }
  }

  close(): void {
    this.#server.close();
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far?.destroy();
    }
  }

  #accept(near: Socket): void {
    const pair: { near: Socket; far: Socket | null } = { near, far: null };
    this.#pairs.add(pair);
    this.#carry(near, () => pair.far);
    near.on("close", () => {
      pair.far?.destroy();
      this.#pairs.delete(pair);
    });
    if (this.#isCut) return;
    pair.far = this.#reach(near);
    near.resume();
  }

  #reach(near: Socket): Socket {
    const far = connect({ ...this.#to, allowHalfOpen: true, noDelay: true });
    this.#carry(far, () => near);
    far.on("close", () => near.destroy());
    return far;
  }

  #carry(from: Socket, to: () => Socket | null): void {
    from.on("error", () => from.destroy());
    from.on("data", (bytes) => {
      const other = to();
      if (other?.write(bytes) !== false) return;
      from.pause();
      other.once("drain", () => {
        if (!this.#isCut) from.resume();
      });
    });
    from.on("end", () => to()?.end());
  }
}
