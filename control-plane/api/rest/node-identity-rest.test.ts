import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startSecuredHub } from "../../../test/support/identity-rig.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

const a = "aaaaaaaa-0000-4000-8000-000000000001";
let rig: RestRig;
let hub: Awaited<ReturnType<typeof startSecuredHub>>;
beforeEach(async () => {
  hub = await startSecuredHub();
  rig = await startRestRig({ identities: hub.identity.identities, fleet: hub.hub.fleet });
});
afterEach(() => rig.close());

describe("nodeIdentityRoutes", () => {
  it("makes, lists and deletes join tokens, and shows each once", async () => {
    const made = await rig.send("POST", "/node-tokens", { ttl: "30m", labels: { zone: "eu" }, node_id: a });
    expect(made).toMatchObject({ status: 201, json: { labels: { zone: "eu" }, node_id: a, used_at: null } });
    expect(made.json.join_token).toMatch(/^pst1\./);
    expect(Date.parse(made.json.expires_at) - Date.parse(made.json.created_at)).toBe(1_800_000);
    const listed = await rig.send("GET", "/node-tokens");
    expect(listed.json.data).toMatchObject([{ id: made.json.id, used_by: null }]);
    expect(listed.text).not.toContain("pst1.");
    expect((await rig.send("DELETE", `/node-tokens/${made.json.id}`)).status).toBe(204);
    expect((await rig.send("DELETE", `/node-tokens/${made.json.id}`)).status).toBe(404);
  });

  it("makes a token with defaults without a body, and names all that is wrong with one", async () => {
    expect((await rig.send("POST", "/node-tokens")).json).toMatchObject({ labels: {}, node_id: null });
    const wrong = { ttl: "soon", labels: { "a b": 1 }, node_id: "n1", lifetime: 3 };
    const refused = await rig.send("POST", "/node-tokens", wrong);
    expect(refused.status).toBe(400);
    expect(Object.keys(refused.json.fields).sort()).toEqual(["labels", "lifetime", "node_id", "ttl"]);
    for (const ttl of ["0s", "31d", 5, 0.3, "1.5h", "-1h", "999999999d", ["2h"], null])
      expect((await rig.send("POST", "/node-tokens", { ttl })).status).toBe(400);
  });

  it("shows a node's certificate, revokes it, and shows who was refused", async () => {
    const keys = await hub.joinNew(a, { labels: { zone: "eu" } });
    const node = await hub.connected(keys, a);
    expect((await rig.send("GET", "/clustering/data-planes")).json.data).toMatchObject([
      {
        id: a,
        cert_details: { spiffe_id: `spiffe://penstock/node/${a}`, expiry_timestamp: expect.any(Number) },
        joined_labels: { zone: "eu" },
        revoked_at: null,
      },
    ]);
    expect(await rig.send("POST", `/nodes/${a}/revoke`, { reason: "stolen" })).toMatchObject({
      status: 200,
      json: { id: a },
    });
    await node.ended;
    expect((await rig.send("GET", "/node-refusals")).json.data).toMatchObject([
      { action: "connect", node_id: a, token_id: null, count: 1, cause: expect.stringContaining("stolen") },
    ]);
    expect((await rig.send("POST", `/nodes/${a}/restore`)).status).toBe(409);
    expect((await rig.send("POST", "/nodes/nobody/restore")).status).toBe(404);
  });

  it("says where the sync port takes no TLS", async () => {
    const plain = await startRestRig();
    try {
      expect((await plain.send("POST", "/node-tokens")).json.message).toContain("--sync-tls on");
      expect((await plain.send("POST", `/nodes/${a}/revoke`)).status).toBe(409);
    } finally {
      await plain.close();
    }
  });
});
