import { describe, expect, it } from "vitest";
import { type Member, MemberList } from "./member-list.ts";

const member = (name: string): Member & { readonly name: string } => ({ name, place: -1 });

describe("MemberList", () => {
  it("has what was added and not deleted, whatever is deleted first", () => {
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const members = ["a", "b", "c"].map(member);
      const list = new MemberList<(typeof members)[number]>();
      for (const each of members) list.add(each);
      const left = new Set(members);
      for (const index of order) {
        expect(list.delete(members[index]!)).toBe(true);
        left.delete(members[index]!);
        expect(list.size).toBe(left.size);
        expect(new Set(list.all())).toEqual(left);
      }
    }
  });

  it("deletes nothing that is not in it: deleted before, in none, or in another", () => {
    const [first, second] = [member("first"), member("second")];
    const list = new MemberList<Member>();
    const other = new MemberList<Member>();
    list.add(first);
    other.add(second);
    expect(list.delete(second)).toBe(false);
    expect(list.delete(member("new"))).toBe(false);
    expect(list.delete(first)).toBe(true);
    expect(list.delete(first)).toBe(false);
    expect([list.size, other.size]).toEqual([0, 1]);
  });

  it("takes a member again after it was deleted", () => {
    const again = member("again");
    const list = new MemberList<Member>();
    list.add(again);
    list.delete(again);
    list.add(again);
    expect(list.all()).toEqual([again]);
  });

  it("gives out all of them as they are at the time", () => {
    const list = new MemberList<Member>();
    for (const name of ["a", "b", "c"]) list.add(member(name));
    for (const each of list.all()) list.delete(each);
    expect(list.size).toBe(0);
  });
});
