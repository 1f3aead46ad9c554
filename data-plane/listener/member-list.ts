/** What is in at most one list at a time, and keeps its place there. */
export interface Member {
  /** Index in the list; -1: in none. Only the list writes it. */
  place: number;
}

/**
 * A set of what comes and goes all the time, in no order. A Set would do the same for more: whenever it makes room it
 * leaves its former table behind, which refers to the next one, so that as soon as one of them is in V8's old space
 * every later one and whatever was in it outlives the collections of young objects. That cost a tenth of a short
 * connection: `npm run bench -- --only connections`.
 */
export class MemberList<T extends Member> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** @returns whether it was in the list */
  delete(member: T): boolean {
    const { place } = member;
    if (this.#members[place] !== member) return false;
    const last = this.#members.pop()!;
    if (last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
    return true;
  }

  /** Those that are in it now: what is done with them may change the list. */
  all(): T[] {
    return this.#members.slice();
  }
}
