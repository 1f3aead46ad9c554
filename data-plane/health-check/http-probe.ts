import { connect, type Socket } from "node:net";
import type { ProbeConfig } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { ProbeAnswer } from "./probe-answer.ts";
import { type ProbePlace, probeHost } from "./probe-place.ts";
import type { ProbeTls } from "./probe-tls.ts";

/** What all probes read into: it is looked at, or copied, before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(16_384);

/**
 * Sends one HTTP/1.1 request over a connection of its own and reads the status line of the answer, and of its body only
 * what is looked for. Redirects are not followed. Never rejects.
 */
export function httpProbe(place: ProbePlace, probe: ProbeConfig, tls: ProbeTls): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const answer = new ProbeAnswer(probe);
    const onread = {
      buffer: () => readBuffer,
      callback(length: number): boolean {
        const outcome = answer.read(readBuffer.subarray(0, length));
        if (outcome !== null) finish(outcome);
        return true;
      },
    };
    const socket = open(place, probe, tls, onread);
    const timer = setTimeout(() => finish({ type: "timeout" }), probe.timeoutMs);
    // A node that ends does not wait for probes.
    socket.unref();
    timer.unref();
    let isOver = false;
    function finish(outcome: ProbeOutcome): void {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    }
    socket.once(probe.type === "https" ? "secureConnect" : "connect", () => socket.write(requestOf(place, probe)));
    socket.once("end", () => finish(answer.end()));
    // Kept for good: an error after the answer must not become an uncaught exception.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      finish({ type: "failed", problem: error.code ?? error.message });
    });
    socket.once("close", () => finish(answer.end()));
  });
}

interface OnRead {
  buffer(): Uint8Array;
  callback(length: number): boolean;
}

function open({ address, port, host }: ProbePlace, probe: ProbeConfig, tls: ProbeTls, onread: OnRead): Socket {
  if (probe.type !== "https") return connect({ host: address, port, noDelay: true, onread: onread as never });
  return tls.targetTls(probe).connect({ address, port, name: probe.serverName ?? host }, onread);
}

const ourHeaders = ["Host", "User-Agent", "Accept", "Connection"] as const;

function requestOf(place: ProbePlace, probe: ProbeConfig): string {
  const ours = { Host: probeHost(place, probe), "User-Agent": "penstock-probe", Accept: "*/*", Connection: "close" };
  const given = new Set(probe.headers.map(({ name }) => name.toLowerCase()));
  let head = `${probe.method} ${probe.path} HTTP/1.1\r\n`;
  for (const name of ourHeaders) if (!given.has(name.toLowerCase())) head += `${name}: ${ours[name]}\r\n`;
  for (const { name, value } of probe.headers) head += `${name}: ${value}\r\n`;
  return `${head}\r\n`;
}
