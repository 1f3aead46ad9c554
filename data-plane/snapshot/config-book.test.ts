import { expect, it } from "vitest";
import { ConfigDecoder, type EncodedConfig } from "../config/encoded-config.ts";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import { untilDone } from "../steps/until-done.ts";
import { limits, service, trial } from "./compile-snapshot.test-entities.ts";
import { SnapshotCompiler, type SnapshotPlan } from "./compile-snapshot.ts";
import { ConfigBook } from "./config-book.ts";

function rig() {
  const addresses = new Map<string, string>();
  const setOf = (poolKey: string) =>
    testSet([testEndpoint({ address: addresses.get(poolKey) ?? "10.0.0.1" })], { poolKey });
  const book = new ConfigBook({ poolRow: () => 0, setOf, preparedSetOf: setOf });
  const compiler = new SnapshotCompiler(limits, trial);
  const compile = (publication: number, ...hosts: string[]): SnapshotPlan => {
    const entities = hosts.map((host, i) => service({ id: `s${i}`, host }));
    const compiled = untilDone(compiler.steps({ publication, revision: 1, entities }));
    if (!compiled.ok) throw new Error(compiled.refusal.message);
    return compiled.plan;
  };
  const resolvesTo = (poolKey: string, address: string) => {
    addresses.set(poolKey, address);
    book.endpointsChanged([{ poolKey }]);
  };
  return { book, compiler, compile, resolvesTo };
}

/** Of the first endpoint of each pool. */
function addressesIn(config: EncodedConfig) {
  const items = [...new ConfigDecoder().pagesOf(config)].flatMap(({ pools = [] }) => pools);
  return Object.fromEntries(
    items.flatMap(([, , set]) => (set === null ? [] : [[set.poolKey, set.endpoints[0]!.address]])),
  );
}

it.each([
  { who: "nobody", asksMeanwhile: false },
  { who: "a worker that begins", asksMeanwhile: true },
])(
  "has the endpoints of a pool that has changed while its page was prepared, where $who asked for all meanwhile",
  ({ asksMeanwhile }) => {
    const { book, compiler, compile, resolvesTo } = rig();
    untilDone(book.prepareSteps(compile(1, "a.test", "b.test")));
    book.install();
    compiler.commit();
    book.commit();
    // The pool of b changes, and both are on one page.
    const steps = book.prepareSteps(compile(2, "a.test", "c.test"), true);
    steps.next();
    resolvesTo("host:a.test:80", "10.0.0.2");
    if (asksMeanwhile) book.whole().whole();
    untilDone(steps);
    book.install();
    expect(addressesIn(book.whole().whole())).toEqual({ "host:a.test:80": "10.0.0.2", "host:c.test:80": "10.0.0.1" });
  },
);
