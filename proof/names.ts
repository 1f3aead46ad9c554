/**
 * Rows 37 and 38: a name moves from one address to another and back, ten times, under load; each time the new address is used
 * within its time to live and a second. Then a minute without a DNS that can say anything. No request may fail.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { addressRecords, answerFrom, type ScriptedAnswer, startDnsServer } from "../test/support/dns-server.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import { type RunningLoad, startRequestLoad } from "../test/support/request-load.ts";
import type { Figure } from "./prove.ts";

const ttlSeconds = 2;
const moveCount = 10;
const outageMs = 15_000;
const requestsPerSecond = 500;
const outages: readonly { name: string; scripted: ScriptedAnswer }[] = [
  { name: "SERVFAIL", scripted: { rcode: 2 } },
  { name: "no answer", scripted: { isSilent: true } },
  { name: "empty answers", scripted: {} },
  { name: "no such name", scripted: { rcode: 3 } },
];
const addresses = ["127.0.0.1", "127.0.0.2"] as const;

/** Resolves at the next answer of the target. @returns after how many milliseconds */
async function nextAnswerOf(load: RunningLoad, target: string): Promise<number> {
  const startedAtMs = performance.now();
  const before = load.outcome.perTarget.get(target) ?? 0;
  while ((load.outcome.perTarget.get(target) ?? 0) === before)
    await load.finished(load.outcome.ok + load.outcome.failed + 1);
  return performance.now() - startedAtMs;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const zoneOf = (address: string) => answerFrom(addressRecords("web.test", [address], ttlSeconds));
  const dns = await startDnsServer(zoneOf(addresses[0]));
  const first = await startEchoTarget(addresses[0], 0, addresses[0]);
  const second = await startEchoTarget(addresses[1], first.port, addresses[1]);
  const planes = await startProofPlanes([], { PENSTOCK_DNS_SERVERS: dns.address, PENSTOCK_DNS_SEARCH: "." });
  const target = { target: `web.test:${first.port}` };
  await adminOk(planes.adminUrl, "POST", "/upstreams/proof/targets?wait=applied&timeout=10s", target);
  const load = startRequestLoad({ port: planes.proxyPort, path: "/p/x", requestsPerSecond, connectionCount: 16 });
  await nextAnswerOf(load, addresses[0]);

  const movesMs: number[] = [];
  for (let move = 1; move <= moveCount; move++) {
    const to = addresses[move % 2]!;
    // At another moment of the time to live each time.
    await sleep((ttlSeconds * 1_000 * move) / moveCount);
    dns.answer = zoneOf(to);
    movesMs.push(await nextAnswerOf(load, to));
    progress(`move ${move}: ${Math.round(movesMs.at(-1)!)} ms, ${load.outcome.failed} failed`);
  }
  for (const { name, scripted } of outages) {
    dns.answer = () => scripted;
    await sleep(outageMs);
    progress(`${outageMs / 1_000} s of ${name}: ${load.outcome.failed} failed`);
  }
  dns.answer = zoneOf(addresses[1]);
  const backMs = await nextAnswerOf(load, addresses[1]);
  const outcome = await load.stop();
  await planes.stop();
  await dns.close();
  first.close();
  second.close();
  return [
    { name: "requests that failed", value: outcome.failed, unit: "requests", atMost: 0 },
    { name: "requests", value: outcome.sent, unit: "requests", atMost: null },
    {
      name: `from a change to the first request at the new address, longest of ${moveCount}`,
      value: Math.round(Math.max(...movesMs)),
      unit: "ms",
      atMost: ttlSeconds * 1_000 + 1_000,
    },
    {
      name: "from the end of the outage to the first request at a new address",
      value: Math.round(backMs),
      unit: "ms",
      atMost: 31_000,
    },
  ];
}
