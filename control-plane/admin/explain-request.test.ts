import { describe, expect, it } from "vitest";
import { nodeStatus } from "../../test/support/node-status.ts";
import type { Fleet, NodeAnswer, NodeQuestion, NodeStatus } from "../sync/fleet.ts";
import { type AskedRequest, checkExplainRequest, explainRequest } from "./explain-request.ts";

function node(id: string, facts: Partial<NodeStatus> = {}): NodeStatus {
  return nodeStatus({ id, hostname: `host-of-${id}`, build: "1.0.0", capabilities: ["query.explain"], ...facts });
}

/** @param said by the node that is asked; a string is a problem */
async function ask(nodes: readonly NodeStatus[], asked: AskedRequest, said: object | string | null = {}) {
  const questions: NodeQuestion[] = [];
  const fleet: Pick<Fleet, "nodes" | "ask"> = {
    nodes: () => nodes,
    async ask(question): Promise<readonly NodeAnswer[]> {
      questions.push(question);
      if (said === null) return [];
      const answered =
        typeof said === "string"
          ? { ok: false as const, problem: said }
          : { ok: true as const, body: Buffer.from(JSON.stringify(said)) };
      return [{ nodeId: question.nodeId!, hostname: "", answered }];
    },
  };
  const explained = await explainRequest(fleet as Fleet, asked);
  const [question] = questions;
  const body = question === undefined ? null : JSON.parse(Buffer.from(question.body).toString());
  return { explained, question, body };
}

describe("explainRequest", () => {
  it("asks one node, with every default filled in, and passes on what it knows", async () => {
    const { explained, question, body } = await ask([node("a")], {}, { publication: "7", picked: "x", ofLater: 1 });
    expect(question).toMatchObject({ kind: "explain", nodeId: "a", revision: 0 });
    expect(body).toEqual({
      ...{ scheme: "http", method: "GET", host: "localhost", path: "/", headers: [], clientAddress: "127.0.0.1" },
      ...{ sni: "", node: "" },
    });
    expect(explained).toMatchObject({
      ok: true,
      response: { publication: 7n, picked: "x", node: { id: "a", hostname: "host-of-a" } },
    });
  });

  it.each([
    { host: "A.test:8443", sni: "", want: "a.test" },
    { host: "a.test.", sni: "", want: "a.test" },
    { host: "192.0.2.1:443", sni: "", want: "" },
    { host: "[::1]:443", sni: "", want: "" },
    { host: "a.test", sni: "B.test", want: "b.test" },
  ])("takes $want for the server name of $host with $sni", async ({ host, sni, want }) => {
    expect((await ask([node("a")], { scheme: "https", host, sni })).body.sni).toBe(want);
  });

  it.each([
    { address: "::FFFF:192.0.2.1", want: "192.0.2.1" },
    { address: "2001:DB8::1", want: "2001:db8::1" },
  ])("takes $address for $want, as nodes do", async ({ address, want }) => {
    expect((await ask([node("a")], { clientAddress: address })).body.clientAddress).toBe(want);
  });

  it.each<{ name: string; nodes: readonly NodeStatus[]; wanted?: string; want: string }>([
    { name: "any that can", nodes: [node("a", { capabilities: [] }), node("b")], want: "b" },
    { name: "any that is connected", nodes: [node("a", { isConnected: false }), node("b")], want: "b" },
    { name: "the one that is least behind", nodes: [node("a", { lag: 3 }), node("b", { lag: 1 })], want: "b" },
    { name: "the one with this id", nodes: [node("a"), node("b")], wanted: "b", want: "b" },
    { name: "the one with this hostname", nodes: [node("a"), node("b")], wanted: "host-of-b", want: "b" },
  ])("asks $name", async ({ nodes, wanted = "", want }) => {
    expect((await ask(nodes, { node: wanted })).question?.nodeId).toBe(want);
  });

  it.each<{ nodes: readonly NodeStatus[]; wanted?: string; fault: string; message: string }>([
    { nodes: [], fault: "no_node", message: "no node is connected: there is nobody to ask" },
    {
      nodes: [node("a", { capabilities: [] })],
      fault: "no_node",
      message: "no connected node has a version that can explain requests",
    },
    {
      nodes: [node("a", { publication: 0 })],
      fault: "no_node",
      message: "no connected node serves a configuration yet",
    },
    { nodes: [node("a")], wanted: "x", fault: "unknown_node", message: 'there is no node "x"' },
    {
      nodes: [node("a", { isConnected: false })],
      wanted: "a",
      fault: "no_node",
      message: "node a (host-of-a) is not connected",
    },
    {
      nodes: [node("a", { capabilities: [] })],
      wanted: "a",
      fault: "no_node",
      message: "node a (host-of-a) has version 1.0.0, which cannot explain requests",
    },
    {
      nodes: [node("a", { publication: 0 })],
      wanted: "a",
      fault: "no_node",
      message: "node a (host-of-a) serves no configuration yet",
    },
  ])("says that $message", async ({ nodes, wanted = "", fault, message }) => {
    const { explained, question } = await ask(nodes, { node: wanted });
    expect(explained).toEqual({ ok: false, fault, message });
    expect(question).toBeUndefined();
  });

  it("wants an id where a hostname is that of several", async () => {
    const { explained } = await ask([node("a", { hostname: "h" }), node("b", { hostname: "h" })], { node: "h" });
    expect(explained).toMatchObject({ fault: "invalid", problems: [{ field: "node" }] });
  });

  it.each([
    { name: "has a problem", said: "no worker serves a configuration", why: "no worker serves a configuration" },
    { name: "has gone", said: null, why: "its stream has ended" },
    { name: "says nonsense", said: { endpoints: 5 }, why: "its answer is none" },
  ])("says so where the node $name", async ({ said, why }) => {
    const { explained } = await ask([node("a")], {}, said);
    expect(explained).toEqual({ ok: false, fault: "no_answer", message: `node a (host-of-a): ${why}` });
  });
});

describe("checkExplainRequest", () => {
  const value = "x";
  it.each<{ asked: AskedRequest; fields: readonly string[] }>([
    { asked: {}, fields: [] },
    {
      asked: { method: "M-SEARCH", path: "/a%zz/..;b?x=/%00", host: "a b", headers: [{ name: "X", value: "ä\t" }] },
      fields: [],
    },
    { asked: { scheme: "ftp", method: "G T", host: "a\n", path: "a" }, fields: ["scheme", "method", "host", "path"] },
    { asked: { path: "/a b" }, fields: ["path"] },
    { asked: { path: "/ä" }, fields: ["path"] },
    { asked: { path: "/a#b" }, fields: ["path"] },
    { asked: { clientAddress: "a.test" }, fields: ["client_address"] },
    { asked: { clientAddress: "fe80::1%eth0" }, fields: ["client_address"] },
    { asked: { sni: "a.test" }, fields: ["sni"] },
    { asked: { scheme: "https", sni: "a b" }, fields: ["sni"] },
    {
      asked: {
        headers: [
          { name: "a b", value },
          { name: "Host", value },
        ],
      },
      fields: ["headers.0.name", "headers.1.name"],
    },
    { asked: { headers: [{ name: "a", value: "b\r\nc: d" }] }, fields: ["headers.0.value"] },
    { asked: { headers: [{ name: "a", value: "\ud800" }] }, fields: ["headers.0.value"] },
    { asked: { headers: Array.from({ length: 201 }, () => ({ name: "a", value })) }, fields: ["headers"] },
  ])("finds $fields in $asked", ({ asked, fields }) => {
    expect(checkExplainRequest(asked).map(({ field }) => field)).toEqual(fields);
  });
});
