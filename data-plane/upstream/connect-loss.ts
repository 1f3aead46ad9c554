import type { UpstreamLoss } from "./http1-client.ts";

/** What this machine itself ran out of: no endpoint is to blame. */
const localShortages = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"]);

/**
 * Why a connection did not come about, from the error that it closed with.
 *
 * @param isSecure over TLS: what is not the operating system's error is the handshake's
 */
export function connectLoss(error: NodeJS.ErrnoException | null, isSecure: boolean): UpstreamLoss {
  const code = error?.code ?? "";
  // A reset while connecting is a full or closing listener: refused by another name.
  if (code === "ECONNREFUSED" || code === "ECONNRESET") return "refused";
  if (localShortages.has(code)) return "no_socket";
  if (!isSecure || error === null || error.syscall !== undefined) return "unreachable";
  if (code.startsWith("ERR_SSL_")) return code.includes("ALERT") ? "tls_alert" : "tls_protocol";
  return "tls_certificate";
}

/** What an operator can look up: the error's code, or its words where the code says nothing. */
export function lossDetail(error: NodeJS.ErrnoException | null): string {
  if (error === null) return "closed";
  return error.code === undefined || error.code === "UNSPECIFIED" ? error.message : error.code;
}
