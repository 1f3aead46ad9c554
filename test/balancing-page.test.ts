import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leafFields } from "../control-plane/resource/message-fields.ts";
import { compileBalancing } from "../data-plane/snapshot/compile-balancing.ts";
import { BalancingSchema } from "../proto/gen/penstock/config/v1/balancing_pb.ts";
import { UpstreamSchema } from "../proto/gen/penstock/config/v1/upstream_pb.ts";
import { repositoryRoot } from "./support/penstock-processes.ts";
import { type RestRig, startRestRig } from "./support/rest-rig.ts";

const page = readFileSync(join(repositoryRoot, "docs/balancing.md"), "utf8");

/** The commands of the page, in its order. */
const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) =>
  block!.replaceAll("\\\n", "").trim().split("\n"),
);

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());

describe("the commands of docs/balancing.md", () => {
  it("are all there", () => {
    expect(commands.length).toBeGreaterThan(15);
    for (const command of commands) expect(command).toMatch(/^curl -X (POST|PATCH) localhost:8001\//);
  });

  // In the page's order: each of them stands on those before it.
  it.each(commands)("%s", async (command) => {
    const here = command.replace("localhost:8001", `127.0.0.1:${rig.port}`);
    const { stdout } = await promisify(execFile)("bash", ["-c", `${here} -s -i`], { timeout: 20_000 });
    expect(stdout).toMatch(/^HTTP\/1\.1 20[01] /);
    expect(stdout).not.toMatch(/^penstock-warning:/im);
  });
});

describe("the tables of defaults in docs/balancing.md", () => {
  const documented = new Map<string, string>();
  for (const [, record, rows] of page.matchAll(/^\| `balancing\.([a-z_]+)` \| default \| \|\n((?:\|.*\n)+)/gm))
    for (const [, field, text] of rows!.matchAll(/^\| `([a-z_]+)` \| (.*?) \|/gm))
      documented.set(`${record}.${field}`, text!);

  it("have a row for every field of the contract", () => {
    const ofRecords = leafFields(BalancingSchema).map(({ path }) => path);
    expect([...documented.keys(), "bounded_load"]).toEqual(ofRecords);
  });

  it("say what the nodes go by", () => {
    const compiled = compileBalancing(
      create(UpstreamSchema, {
        balancing: { slowStart: { window: { seconds: 1n } }, zones: { preferLocal: true }, inFlight: { max: 1 } },
      }),
      "round-robin",
    );
    if (!compiled.ok) throw new Error(compiled.problem.message);
    const { failover, slowStart, zones, inFlight } = compiled.value;
    const nothing = compileBalancing(create(UpstreamSchema), "round-robin");
    expect(nothing.ok && [nothing.value.slowStart, nothing.value.zones, nothing.value.inFlight]).toEqual([
      null,
      null,
      null,
    ]);
    const figures = {
      "failover.overflow_threshold": failover.overflowThresholdPercent,
      "failover.fail_back_delay": failover.failBackDelayMs,
      "slow_start.min_weight": slowStart!.minRatio * 100,
      "slow_start.aggression": slowStart!.aggression,
      "zones.spill_threshold": zones!.spillThresholdPercent,
      "in_flight.queue_size": inFlight!.queueSize,
    };
    for (const [field, value] of Object.entries(figures))
      expect([field, documented.get(field)]).toEqual([field, String(value)]);
  });
});
