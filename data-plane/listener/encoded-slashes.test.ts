import { afterEach, describe, expect, it } from "vitest";
import { answerText, get, openBackend, Rig, type RigOptions } from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** Answers with the target it was asked for. */
async function rig(routes: RigOptions["routes"], service: RigOptions["service"] = {}): Promise<Rig> {
  const target = await openBackend((request, socket) => {
    socket.write(answerText(/^\S+ (\S+)/.exec(request.head)![1]!));
  });
  opened.push(target);
  const proxy = await Rig.open({ ports: [target.port], routes: routes!, service: service! });
  opened.push(proxy);
  return proxy;
}

const allows = { paths: ["/open"], allowsEncodedSlashes: true, stripPath: false };
const denies = { paths: ["/"], stripPath: false };

describe("a route that takes %2F", () => {
  it.each([
    ["/open/a%2fb", "/open/a%2fb"],
    ["/open/a%2Fb?x=%2f", "/open/a%2Fb?x=%2f"],
    ["/open//x/../a%2fb%41", "/open/a%2fbA"],
    // Prefixes end anywhere, also before an escaped slash.
    ["/open%2fa", "/open%2fa"],
    ["/shut/a", "/shut/a"],
  ])("sends %s on as %s", async (sent, want) => {
    const proxy = await rig([allows, denies]);
    expect((await proxy.ask(get(sent))).body).toBe(want);
  });

  it.each([
    ["where another route matches", "/shut/a%2fb"],
    ["beside dots", "/open/..%2fshut"],
    ["with other escapes that are refused", "/open/a%2fb%00"],
  ])("is the only place for one: not %s", async (_, sent) => {
    const proxy = await rig([allows, denies]);
    expect((await proxy.ask(get(sent))).head).toMatch(/^HTTP\/1\.1 400 /);
  });

  it("is needed: no route at all is not enough", async () => {
    const proxy = await rig([allows]);
    expect((await proxy.ask(get("/a%2fb"))).head).toMatch(/^HTTP\/1\.1 400 /);
    expect((await proxy.ask(get("/a"))).head).toMatch(/^HTTP\/1\.1 404 /);
  });

  it("strips its prefix without leaving dots that climb", async () => {
    const proxy = await rig([{ ...allows, stripPath: true }], { path: "/base" });
    expect((await proxy.ask(get("/open../x"))).body).toBe("/base/x");
    expect((await proxy.ask(get("/open..%2fx/y"))).body).toBe("/base/y");
    expect((await proxy.ask(get("/open/x%2f"))).body).toBe("/base/x%2f");
  });
});
