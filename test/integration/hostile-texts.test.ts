import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { penstock } from "../../cli/penstock.ts";
import { DiagnosticsAPI } from "../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { HealthAPI } from "../../proto/gen/penstock/admin/v1/health_pb.ts";
import { NodeTokensAPI } from "../../proto/gen/penstock/admin/v1/node_tokens_pb.ts";
import { NodesAPI } from "../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { QuarantinesAPI } from "../../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { RolloutsAPI } from "../../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { TrafficAPI } from "../../proto/gen/penstock/admin/v1/traffic_pb.ts";
import { UpstreamsAPI } from "../../proto/gen/penstock/admin/v1/upstreams_pb.ts";

// Most texts that the command line prints are of nodes, of strangers, or of whoever may write to the Admin API. Here every
// text of every answer has what a terminal acts on.

const services = [
  ...[DiagnosticsAPI, HealthAPI, NodesAPI, NodeTokensAPI],
  ...[QuarantinesAPI, RolloutsAPI, TrafficAPI, UpstreamsAPI],
];

/** ESC, CR, LF, BEL, DEL, CSI and NEL of C1, overrides and isolates of direction, and Unicode's own end of a line. */
const hostile = "a\x1b[2J\r\n\x07\x7f\x9b31m\x85\u202e\u2066b\u200f\u2028c";
const plain = "a".repeat(hostile.length);
const acted = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

let text: string;
/** Which of the values that a field may have, where it is no text. */
let variant: number;
let isRefusing: boolean;
let server: Server;
let adminUrl: string;

// Each command that can be stopped listens, and Node would warn of many.
for (const emitter of [process, process.stdout]) emitter.setMaxListeners(0);

beforeEach(async () => {
  [text, variant, isRefusing] = [hostile, 0, false];
  const adapter = connectNodeAdapter({
    routes: (router) => {
      for (const service of services) router.service(service, answers(service) as ServiceImpl<typeof service>);
    },
  });
  server = createServer(adapter);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** What each method of a service answers. A stream is told all variants, once; then it is refused. */
function answers({ methods }: (typeof services)[number]): object {
  const refusal = () => new ConnectError(text, Code.PermissionDenied);
  return Object.fromEntries(
    methods.map(({ localName, methodKind, output }) => {
      const answer = () => {
        if (isRefusing) throw refusal();
        return filled(output, variant);
      };
      async function* stream() {
        if (isRefusing) throw refusal();
        isRefusing = true;
        for (const each of [0, 1, 2, 3]) yield filled(output, each);
      }
      return [localName, methodKind === "unary" ? answer : stream];
    }),
  );
}

/** A message with something in each of its fields. */
function filled(schema: DescMessage, which: number): Message {
  if (schema.typeName === "google.protobuf.Timestamp") return create(schema, { seconds: 1_700_000_000n } as never);
  const values: Record<string, unknown> = {};
  for (const member of schema.members) {
    if (member.kind === "field") values[member.localName] = fieldValue(member, which);
    else {
      const field = member.fields[which % member.fields.length]!;
      values[member.localName] = { case: field.localName, value: fieldValue(field, which) };
    }
  }
  return create(schema, values as never);
}

function fieldValue(field: DescField, which: number): unknown {
  // There is no further page.
  if (field.localName === "nextPageToken") return "";
  if (field.fieldKind === "list") return [elementValue(field, which), elementValue(field, which + 1)];
  if (field.fieldKind === "map") return { [text]: elementValue(field, which) };
  return elementValue(field, which);
}

function elementValue(field: DescField, which: number): unknown {
  if (field.message !== undefined) return filled(field.message, which);
  if (field.enum !== undefined) return field.enum.values[which % field.enum.values.length]!.number;
  switch (field.scalar) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return new Uint8Array(32);
    case ScalarType.BOOL:
      return which % 2 === 1;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return BigInt(which);
    default:
      return which;
  }
}

/** What a command prints, on both streams. */
async function run(argv: readonly string[]): Promise<{ readonly out: string; readonly err: string }> {
  const printed = { out: "", err: "" };
  const taking = (stream: keyof typeof printed) => (chunk: string | Uint8Array) => {
    printed[stream] += String(chunk);
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(taking("out"));
  vi.spyOn(process.stderr, "write").mockImplementation(taking("err"));
  await penstock([...argv, "--admin", adminUrl], {});
  vi.restoreAllMocks();
  return printed;
}

const actedOn = (printed: string) => [...new Set(printed.replaceAll("\n", "").match(acted))];
const lineCount = (printed: string) => printed.split("\n").length;

const commands: readonly string[] = [
  ...["health", "health u", "health --watch", "explain /", "top --once", "top --once --nodes", "top"],
  ...["nodes", "nodes n", "nodes --watch", "nodes n --watch"],
  ...["node token", "node revoke n", "node forget n", "node refusals"],
  ...["quarantine", "quarantine release q"],
  ...["rollout", "rollout --watch", "rollout pause", "rollout policy", "rollout policy --soak 1s"],
];
const jsonCommands = [
  "health",
  "health --watch",
  "explain /",
  "top --once",
  "top",
  "nodes",
  "nodes n",
  "nodes --watch",
];

describe("penstock", () => {
  it.each(commands)("prints nothing that a terminal acts on: %s", async (command) => {
    for (const which of [0, 1, 2, 3, 4]) {
      [text, variant, isRefusing] = [plain, which, false];
      const expected = await run(command.split(" "));
      [text, isRefusing] = [hostile, false];
      const { out, err } = await run(command.split(" "));
      expect([actedOn(out), actedOn(err)]).toEqual([[], []]);
      expect(out).not.toBe("");
      // No text has made a line of its own.
      expect([lineCount(out), lineCount(err)]).toEqual([lineCount(expected.out), lineCount(expected.err)]);
    }
  });

  it.each(jsonCommands)(
    "prints JSON that a terminal acts on nothing of, and that says the same: %s",
    async (command) => {
      const { out } = await run([...command.split(" "), "--json"]);
      expect(actedOn(out)).toEqual([]);
      const isStream = command.includes("watch") || command === "top";
      const texts = isStream ? out.trimEnd().split("\n") : [out];
      for (const one of texts) expect(JSON.stringify(JSON.parse(one))).toContain(JSON.stringify(hostile));
    },
  );

  it.each(commands)("says why not without anything that a terminal acts on: %s", async (command) => {
    isRefusing = true;
    const { out, err } = await run(command.split(" "));
    expect([out, actedOn(err), lineCount(err)]).toEqual(["", [], 2]);
  });
});
