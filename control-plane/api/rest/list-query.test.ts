import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());

describe("parseListQuery", () => {
  beforeAll(async () => {
    for (let i = 0; i < 3; i++)
      await rig.send("POST", "/upstreams", { name: `u${i}`, tags: i === 0 ? ["a", "b"] : ["a"] });
  });
  afterAll(async () => {
    for (let i = 0; i < 3; i++) await rig.send("DELETE", `/upstreams/u${i}`);
  });

  it("pages by offset, which `next` repeats with the client's size and tags", async () => {
    const first = (await rig.send("GET", "/upstreams/?size=2&tags=a")).json;
    expect(first.data).toHaveLength(2);
    expect(first.next).toBe(`/upstreams?offset=${encodeURIComponent(first.offset)}&tags=a&size=2`);
    const second = (await rig.send("GET", first.next)).json;
    expect(second).toEqual({ data: [expect.anything()], next: null });
    const names = [...first.data, ...second.data].map((row: { name: string }) => row.name);
    expect(names.sort()).toEqual(["u0", "u1", "u2"]);
  });

  it("filters by all of several tags", async () => {
    const { data } = (await rig.send("GET", "/upstreams?tags=a,b")).json;
    expect(data.map((row: { name: string }) => row.name)).toEqual(["u0"]);
  });

  it.each([
    { query: "size=x", want: { message: "size must be a number", name: "invalid size", code: 9 } },
    { query: "size=0", want: { message: "size must be an integer between 1 and 1000", name: "invalid size", code: 9 } },
    {
      query: "size=1001",
      want: { message: "size must be an integer between 1 and 1000", name: "invalid size", code: 9 },
    },
    {
      query: "size=1.5",
      want: { message: "size must be an integer between 1 and 1000", name: "invalid size", code: 9 },
    },
    {
      query: "offset=zz",
      want: { message: "'zz' is not a valid offset: bad base64 encoding", name: "invalid offset", code: 7 },
    },
    {
      query: "tags=",
      want: {
        message: "invalid option (tags: cannot be null)",
        name: "invalid options",
        code: 11,
        options: { tags: "cannot be null" },
      },
    },
    { query: "tags=a/b", want: expect.objectContaining({ code: 11, name: "invalid options" }) },
    { query: "tags=a,", want: expect.objectContaining({ code: 11, name: "invalid options" }) },
  ])("refuses ?$query", async ({ query, want }) => {
    const reply = await rig.send("GET", `/upstreams?${query}`);
    expect(reply.status).toBe(400);
    expect(reply.json).toEqual(want);
  });

  it.each(["/plugins", "/consumers"])("lists nothing at %s", async (path) => {
    expect((await rig.send("GET", `${path}?size=1000`)).json).toEqual({ data: [], next: null });
  });
});
