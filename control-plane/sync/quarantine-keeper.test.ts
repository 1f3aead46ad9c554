import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { putOf, refusing, startQuarantineRig } from "../../test/support/quarantine-rig.ts";
import { Channel } from "../snapshot/channel.ts";
import { quarantinesInForce } from "../snapshot/held-versions.ts";
import { lateChanges } from "../snapshot/snapshot-cache.ts";
import { untilDone } from "../steps/until-done.ts";
import { QuarantineKeeper } from "./quarantine-keeper.ts";

const heldIn = (quarantine: {
  entities: readonly { kind: string; id: string; depends: boolean; goodBody?: Uint8Array }[];
}) =>
  quarantine.entities.map(({ kind, id, depends, goodBody }) =>
    [`${kind}/${id}`, ...(depends ? ["depends"] : []), ...(goodBody === undefined ? ["absent"] : [])].join(" "),
  );

describe("QuarantineKeeper", () => {
  it("gives all nodes the last good version of what one refuses, and all else as it is", async () => {
    const { put, settle, connectPicky, inForce, fleet } = await startQuarantineRig();
    for (let i = 0; i < 5; i++) put("upstream", `u${i}`);
    const picky = await connectPicky("picky", refusing("bad"));
    const other = await connectPicky("other", () => null);
    await settle();
    const revision = put("upstream", "u1", { tags: ["bad"] });
    put("upstream", "u2", { tags: ["later"] });
    await settle();
    const content = ["upstream/u0", "upstream/u1", "upstream/u2 later", "upstream/u3", "upstream/u4"];
    expect(picky.content).toEqual(content);
    expect(other.content).toEqual(content);
    expect(picky.publication).toBe(other.publication);
    expect(inForce()).toMatchObject([
      {
        ...{ reason: "invalid_entity", field: "tags", message: "cannot take bad", nodeIds: ["picky"] },
        entities: [{ kind: "upstream", id: "u1", name: "u1", refusedRevision: BigInt(revision), goodRevision: 2n }],
      },
    ]);
    expect(fleet.nodes().map(({ id, lag }) => `${id} ${lag}`)).toEqual(["other 0", "picky 0"]);
    // What was written with it, and after it, is served; the refusal spoils nothing.
    put("upstream", "u5");
    await settle();
    expect(picky.content).toEqual([...content, "upstream/u5"]);
  });

  it("leaves out what never had a good version, with what depends on it", async () => {
    const { store, put, write, settle, connectPicky, inForce } = await startQuarantineRig();
    put("service", "s0");
    put("route", "r0", { service: { id: "s0" }, tags: ["old"] });
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    write([
      putOf(store, "service", "s1", { tags: ["bad"] }),
      putOf(store, "route", "r1", { service: { id: "s1" } }),
      putOf(store, "route", "r0", { service: { id: "s1" }, tags: ["new"] }),
    ]);
    await settle();
    expect(node.content).toEqual(["service/s0", "route/r0 old"]);
    expect(inForce().map(heldIn)).toEqual([["service/s1 absent", "route/r0 depends", "route/r1 depends absent"]]);
  });

  it("ends when the resource is written anew, and tries that", async () => {
    const { put, settle, connectPicky, inForce } = await startQuarantineRig();
    put("service", "s1");
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    put("service", "s1", { tags: ["bad"] });
    await settle();
    put("service", "s1", { tags: ["better"] });
    await settle();
    expect(node.content).toEqual(["service/s1 better"]);
    expect(inForce()).toEqual([]);
    // What is good is what was served last, not what was good at the first refusal.
    put("service", "s1", { tags: ["bad", "again"] });
    await settle();
    expect(node.content).toEqual(["service/s1 better"]);
    expect(inForce()).toHaveLength(1);
    put("service", "s1", { tags: ["bad", "third"] });
    await settle();
    expect(node.content).toEqual(["service/s1 better"]);
    expect(inForce()).toHaveLength(1);
  });

  it("holds back nothing that was written after what the refusing node's channel knows, where the node is on another by now", async () => {
    const store = new MemoryStore();
    const log = pino({ level: "silent" });
    const channel = new Channel(store, { publicationMaxCount: 10, changeMaxCount: 10 }, log);
    const put = (...tags: string[]) => store.transactNow([putOf(store, "upstream", "u1", { tags })]);
    const publish = () => untilDone(channel.prepareSteps(lateChanges()))();
    const keeper = new QuarantineKeeper({ store, log, clock: { unixMs: () => 1_000 } });
    const refuse = () =>
      keeper.refused({
        ...{ nodeId: "n", channel, refresh: async () => {}, servedByOthers: () => [] },
        nack: {
          ...{
            publication: channel.newest!.publication,
            keptPublication: 1,
            reason: "invalid_entity",
            receivedAtUnixMs: 0,
          },
          ...{ entityKind: "upstream", entityId: "u1", entityName: "u1", field: "tags", message: "no" },
        },
      });
    put();
    publish();
    put("bad");
    publish();
    put("mended");
    await refuse();
    expect(quarantinesInForce(store.image)).toEqual([]);
    publish();
    await refuse();
    expect(quarantinesInForce(store.image)).toHaveLength(1);
  });

  it("holds back one entity after the other, up to its limit, and then stops", async () => {
    const { put, settle, connectPicky, inForce } = await startQuarantineRig({ maxCount: 3 });
    put("upstream", "u0");
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    for (const id of ["u1", "u2", "u3"]) put("upstream", id, { tags: ["bad"] });
    put("upstream", "u9");
    await settle();
    expect(inForce()).toHaveLength(3);
    expect(node.content).toEqual(["upstream/u0", "upstream/u9"]);
    put("upstream", "u4", { tags: ["bad"] });
    await settle();
    expect(inForce()).toHaveLength(3);
    expect(node.content).toEqual(["upstream/u0", "upstream/u9"]);
    expect(node.refused).toHaveLength(4);
  });

  it("holds back all that changed since what a node went back to", async () => {
    const { put, remove, settle, connectPicky, inForce, fleet } = await startQuarantineRig();
    for (const id of ["u0", "u1", "u2"]) put("upstream", id);
    const node = await connectPicky("n", () => null);
    await settle();
    const other = await connectPicky("other", () => null);
    await settle();
    put("upstream", "u1", { tags: ["deadly?"] });
    remove("upstream", "u2");
    put("upstream", "u3");
    await settle();
    node.goBack();
    await settle();
    for (const { content } of [node, other]) expect(content).toEqual(["upstream/u0", "upstream/u1", "upstream/u2"]);
    expect(fleet.nodes().map(({ lag }) => lag)).toEqual([0, 0]);
    expect(inForce().map(heldIn)).toEqual([["upstream/u1", "upstream/u2", "upstream/u3 absent"]]);
    // What is written later comes through, and each that is written anew leaves the set.
    put("upstream", "u1", { tags: ["mended"] });
    put("upstream", "u4");
    await settle();
    expect(node.content).toEqual(["upstream/u0", "upstream/u1 mended", "upstream/u2", "upstream/u4"]);
  });

  it("does not let one node take from the others what they serve", async () => {
    const { put, settle, connectPicky, inForce } = await startQuarantineRig();
    put("upstream", "u1", { tags: ["bad"] });
    const others = [await connectPicky("a", () => null), await connectPicky("b", () => null)];
    await settle();
    const odd = await connectPicky("odd", refusing("bad"));
    await settle();
    expect(odd.refused).toHaveLength(1);
    expect(inForce()).toEqual([]);
    for (const { content } of others) expect(content).toEqual(["upstream/u1 bad"]);
    // As soon as as many refuse it as serve it, it is.
    await connectPicky("odd-too", refusing("bad"));
    await settle();
    expect(inForce().map(heldIn)).toEqual([["upstream/u1 absent"]]);
    expect(odd.content).toEqual([]);
  });

  it("never goes back to what was refused: where the last good version is refused as well, there is none", async () => {
    const { put, settle, connectPicky, inForce } = await startQuarantineRig();
    put("upstream", "u0");
    put("upstream", "u1", { tags: ["old"] });
    const first = await connectPicky("first", refusing("new"));
    await settle();
    put("upstream", "u1", { tags: ["new"] });
    await settle();
    expect(first.content).toEqual(["upstream/u0", "upstream/u1 old"]);
    const second = await connectPicky("second", refusing("old"));
    await settle();
    for (const { content } of [first, second]) expect(content).toEqual(["upstream/u0"]);
    expect(inForce().map(heldIn)).toEqual([["upstream/u1"], ["upstream/u1 absent"]]);
  });

  it("finds the last good version in the store's log after a restart", async () => {
    const before = await startQuarantineRig();
    const { store } = before;
    before.put("upstream", "u0");
    before.put("upstream", "u1", { tags: ["good"] });
    const node = await before.connectPicky("n", refusing("bad"));
    await before.settle();
    const kept = node.publication;
    before.put("upstream", "u1", { tags: ["bad"] });
    const { settle, connectPicky, inForce, connect } = await startQuarantineRig({ store });
    const late = connect();
    late.hello("n", {
      publication: kept,
      stateHash: Buffer.alloc(32, 1),
      epoch: { counter: 1n, id: store.epoch.id } as never,
    });
    const { begin } = await late.nextSnapshot();
    const refusal = { entityKind: "upstream", entityId: "u1", reason: "invalid_entity" };
    late.send({ case: "nack", value: { ...refusal, publication: begin.publication, keptPublication: kept } });
    await settle();
    const other = await connectPicky("other", refusing("bad"));
    await settle();
    expect(inForce().map(heldIn)).toEqual([["upstream/u1"]]);
    expect(other.content).toEqual(["upstream/u0", "upstream/u1 good"]);
  });

  it.each(["hash_mismatch", "unknown_base", "foreign_store", "stale_publication", "worker_failed", "invalid_snapshot"])(
    "holds nothing back for %s",
    async (reason) => {
      const { put, settle, connectPicky, inForce } = await startQuarantineRig();
      put("upstream", "u0");
      const node = await connectPicky("n", () => ({ reason, message: "as it may be" }));
      await settle();
      put("upstream", "u1");
      await settle();
      expect(node.refused.length).toBeGreaterThan(0);
      expect(inForce()).toEqual([]);
    },
  );
});

describe("startQuarantineCompletion", () => {
  it("holds back a write that refers to what nodes do not have, and lets it go with it", async () => {
    const { put, settle, connectPicky, inForce } = await startQuarantineRig();
    put("service", "s0");
    put("route", "r0", { service: { id: "s0" }, tags: ["old"] });
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    put("service", "s1", { tags: ["bad"] });
    await settle();
    put("route", "r0", { service: { id: "s1" }, tags: ["new"] });
    put("route", "r1", { service: { id: "s1" } });
    put("route", "r2", { service: { id: "s0" } });
    await settle();
    expect(node.content).toEqual(["service/s0", "route/r0 old", "route/r2"]);
    put("service", "s1", { tags: ["mended"] });
    await settle();
    expect(node.content).toEqual(["service/s0", "service/s1 mended", "route/r0 new", "route/r1", "route/r2"]);
    expect(inForce()).toEqual([]);
  });

  it("holds back the deletion of what a last good version refers to", async () => {
    const { put, remove, settle, connectPicky, inForce } = await startQuarantineRig();
    for (const id of ["s0", "s1"]) put("service", id);
    put("route", "r0", { service: { id: "s0" }, tags: ["old"] });
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    put("route", "r0", { service: { id: "s1" }, tags: ["bad"] });
    await settle();
    remove("service", "s0");
    await settle();
    expect(node.content).toEqual(["service/s0", "service/s1", "route/r0 old"]);
    expect(inForce().map(heldIn)).toEqual([["route/r0", "service/s0 depends"]]);
    put("route", "r0", { service: { id: "s1" }, tags: ["mended"] });
    await settle();
    expect(node.content).toEqual(["service/s1", "route/r0 mended"]);
  });

  it("lets nobody take the name that a last good version has", async () => {
    const { put, settle, connectPicky } = await startQuarantineRig();
    put("upstream", "u0", { name: "a" });
    const node = await connectPicky("n", refusing("bad"));
    await settle();
    put("upstream", "u0", { name: "b", tags: ["bad"] });
    await settle();
    put("upstream", "u1", { name: "a" });
    put("upstream", "u2", { name: "c" });
    await settle();
    expect(node.content).toEqual(["upstream/u0", "upstream/u2"]);
    put("upstream", "u0", { name: "b", tags: ["mended"] });
    await settle();
    expect(node.content).toEqual(["upstream/u0 mended", "upstream/u1", "upstream/u2"]);
  });
});
