import { type EncodedTls, TlsDecoder } from "./encoded-tls.ts";
import type { RouteConfig, ServiceConfig, WorkerConfig } from "./worker-config.ts";

/**
 * A config on its way to the workers. Its routes and services, by far the most of it, are encoded once, into memory
 * that all threads share: a copy for each message would leave each thread with the garbage of its own.
 */
export interface EncodedConfig extends Omit<WorkerConfig, "routes" | "services" | "tls"> {
  readonly content: ConfigContent;
  readonly tls: EncodedTls;
}

/** Pages of routes and services, each a JSON text. Never written to again. */
export type ConfigContent = readonly SharedArrayBuffer[];

interface Page {
  readonly services: readonly ServiceConfig[];
  readonly routes: readonly RouteConfig[];
}

/** Reading a page takes about a millisecond, and the garbage of one is small. */
const PAGE_ITEM_COUNT = 256;

/** Takes routes and services one by one, so that none of them needs to outlive its turn. */
export class ConfigContentWriter {
  readonly #pages: SharedArrayBuffer[] = [];
  #services: ServiceConfig[] = [];
  #routes: RouteConfig[] = [];

  addService(service: ServiceConfig): void {
    this.#services.push(service);
    this.#added();
  }

  addRoute(route: RouteConfig): void {
    this.#routes.push(route);
    this.#added();
  }

  finish(): ConfigContent {
    this.#endPage();
    return this.#pages;
  }

  #added(): void {
    if (this.#services.length + this.#routes.length >= PAGE_ITEM_COUNT) this.#endPage();
  }

  #endPage(): void {
    if (this.#services.length + this.#routes.length === 0) return;
    const text = JSON.stringify({ services: this.#services, routes: this.#routes } satisfies Page);
    const page = new SharedArrayBuffer(Buffer.byteLength(text));
    Buffer.from(page).write(text);
    this.#pages.push(page);
    this.#services = [];
    this.#routes = [];
  }
}

/**
 * The config as it was before it was encoded. Errors: throws when the content is none.
 * @param tlsDecoder of those before it, which it shares what has not changed with
 */
export function decodeConfig(
  { content, tls, ...config }: EncodedConfig,
  tlsDecoder: TlsDecoder = new TlsDecoder(),
): WorkerConfig {
  const services: ServiceConfig[] = [];
  const routes: RouteConfig[] = [];
  const protocolLists = new Map<string, RouteConfig["protocols"]>();
  const tlsByKey = new Map<string, ServiceConfig["tls"]>();
  for (const bytes of content) {
    const page = JSON.parse(Buffer.from(bytes).toString()) as Page;
    for (const service of page.services) {
      // Certificates are large, and most services share them.
      if (service.tls !== null) {
        const settings = tlsByKey.get(service.tls.key) ?? service.tls;
        tlsByKey.set(settings.key, settings);
        (service as { tls: ServiceConfig["tls"] }).tls = settings;
      }
      services.push(service);
    }
    for (const route of page.routes) {
      // Nearly all routes have the same list.
      const names = route.protocols.join();
      const protocols = protocolLists.get(names) ?? route.protocols;
      protocolLists.set(names, protocols);
      (route as { protocols: RouteConfig["protocols"] }).protocols = protocols;
      routes.push(route);
    }
  }
  return { ...config, services, routes, tls: tlsDecoder.decode(tls) };
}
