import type { ListenPlace } from "./listener/proxy-server.ts";

/** Where a node listens: which addresses, and which ports, once the first listener has found them. */
export class ListenPlaces {
  /** 0 until one is found. */
  port: number;
  /** The same for TLS; null without it. */
  tlsPort: number | null;
  readonly #hosts: readonly string[];
  readonly #tlsHosts: readonly string[];
  readonly #reusePort: boolean;

  constructor({ proxyHosts, proxyPort, tlsPlace, reusePort }: ListenPlacesOptions) {
    this.port = proxyPort;
    this.tlsPort = tlsPlace?.port ?? null;
    this.#hosts = proxyHosts;
    this.#tlsHosts = tlsPlace?.hosts ?? [];
    this.#reusePort = reusePort;
  }

  /** Whether a first listener has still to find a port. */
  get areOpen(): boolean {
    return this.port === 0 || this.tlsPort === 0;
  }

  plain(): ListenPlace {
    return { hosts: this.#hosts, port: this.port, reusePort: this.#reusePort };
  }

  tls(): ListenPlace | null {
    return this.tlsPort === null ? null : { hosts: this.#tlsHosts, port: this.tlsPort, reusePort: this.#reusePort };
  }
}

export interface ListenPlacesOptions {
  readonly proxyHosts: readonly string[];
  readonly proxyPort: number;
  /** null: no port for TLS. */
  readonly tlsPlace: { readonly hosts: readonly string[]; readonly port: number } | null;
  readonly reusePort: boolean;
}
