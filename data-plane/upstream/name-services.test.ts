import { describe, expect, it } from "vitest";
import { failed, found, notFound, rig, services } from "./resolve-name.test-rig.ts";

describe("NameResolver, services", () => {
  const named = (rigged: ReturnType<typeof rig>, name: string) =>
    rigged.resolver
      .endpointsOf(name)
      .map(({ address, port, weight, sharedBy, serviceTarget }) =>
        [address, port, weight, sharedBy, serviceTarget].join(" "),
      );

  it("gives every address of every record's target, with what the record says", async () => {
    const rigged = rig({ x: found(["10.0.0.1", "10.0.0.2"]), y: found(["10.0.0.3"]) });
    rigged.answers["_http._tcp.s"] = services([
      ["y", 82, 5],
      ["x", 81, 3],
    ]);
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.resolver.firstAnswers(500);
    expect(named(rigged, "_http._tcp.s")).toEqual(["10.0.0.1 81 3 2 x", "10.0.0.2 81 3 2 x", "10.0.0.3 82 5 1 y"]);
    expect(rigged.kinds).toEqual(["service", "host", "host"]);
  });

  it("finds the targets in the hosts file, and those at a port of 0 at the target's own", async () => {
    const rigged = rig({ "_http._tcp.s": services([["listed", 0, 1]]) });
    rigged.hostsText = "10.0.0.9 listed";
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(0);
    expect(rigged.resolver.endpointsOf("_http._tcp.s")).toMatchObject([{ address: "10.0.0.9", port: null }]);
  });

  it("makes one of records that say the same place twice", async () => {
    const rigged = rig({
      x: found(["10.0.0.1"]),
      "_http._tcp.s": services([
        ["x", 81, 1],
        ["x", 81, 2],
      ]),
    });
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(0);
    expect(named(rigged, "_http._tcp.s")).toEqual(["10.0.0.1 81 3 1 x"]);
  });

  it("follows the records and each of their targets, by its own time to live", async () => {
    const rigged = rig({ x: found(["10.0.0.1"], 10), y: found(["10.0.0.5"]) });
    rigged.answers["_http._tcp.s"] = services([["x", 81, 1]], 60);
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(0);
    rigged.changes.length = 0;
    rigged.answers["x"] = found(["10.0.0.2"], 10);
    await rigged.timers.pass(10_000);
    expect(named(rigged, "_http._tcp.s")).toEqual(["10.0.0.2 81 1 1 x"]);
    expect(rigged.changes).toEqual(["_http._tcp.s"]);
    rigged.answers["_http._tcp.s"] = services([["y", 85, 1]], 60);
    await rigged.timers.pass(50_000);
    expect(named(rigged, "_http._tcp.s")).toEqual(["10.0.0.5 85 1 1 y"]);
    // The target that no record names any more is let go.
    expect(rigged.resolver.states().map(({ name }) => name)).toEqual(["_http._tcp.s", "y"]);
  });

  it("keeps the addresses of one target that fails beside those of the others that move", async () => {
    const rigged = rig({ x: found(["10.0.0.1"], 10), y: found(["10.0.0.5"], 10) });
    rigged.answers["_http._tcp.s"] = services([
      ["x", 81, 1],
      ["y", 82, 1],
    ]);
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(0);
    rigged.answers["x"] = failed;
    rigged.answers["y"] = found(["10.0.0.6"], 10);
    await rigged.timers.pass(10_000);
    expect(rigged.resolver.addressesOf("_http._tcp.s")).toEqual(["10.0.0.1", "10.0.0.6"]);
  });

  it("lets everything go when the records are gone for an hour", async () => {
    const rigged = rig({ x: found(["10.0.0.1"]), "_http._tcp.s": services([["x", 81, 1]], 10) });
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(0);
    rigged.answers["_http._tcp.s"] = notFound;
    await rigged.timers.pass(3_590_000);
    expect(rigged.resolver.addressesOf("_http._tcp.s")).toEqual(["10.0.0.1"]);
    await rigged.timers.pass(60_000);
    expect(rigged.resolver.addressesOf("_http._tcp.s")).toEqual([]);
    expect(rigged.resolver.states().map(({ name }) => name)).toEqual(["_http._tcp.s"]);
    expect(rigged.changes.at(-1)).toBe("_http._tcp.s");
  });

  it("looks the targets up early, too, when connections fail", async () => {
    const rigged = rig({ x: found(["10.0.0.1"]), "_http._tcp.s": services([["x", 81, 1]]) });
    rigged.resolver.keepNames(["_http._tcp.s"]);
    await rigged.timers.pass(5_000);
    rigged.asked.length = 0;
    rigged.resolver.refresh("_http._tcp.s");
    await rigged.timers.pass(0);
    expect(rigged.asked.sort()).toEqual(["_http._tcp.s", "x"]);
  });

  it("may find a service behind every name, where that is wanted, and its absence again", async () => {
    const rigged = rig({ x: found(["10.0.0.1"]), web: services([["x", 81, 1]], 10) }, { everyNameMayBeService: true });
    rigged.resolver.keepNames(["web"]);
    await rigged.timers.pass(0);
    expect(rigged.kinds).toEqual(["service_or_host", "host"]);
    expect(named(rigged, "web")).toEqual(["10.0.0.1 81 1 1 x"]);
    rigged.answers["web"] = found(["10.0.0.2"]);
    await rigged.timers.pass(10_000);
    expect(rigged.resolver.endpointsOf("web")).toMatchObject([{ address: "10.0.0.2", port: null, weight: null }]);
    expect(rigged.resolver.states().map(({ name }) => name)).toEqual(["web"]);
  });
});
