import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeptWaits } from "./kept-waits.ts";
import { RouteWaits, type Waiting } from "./route-waits.ts";

const config = { minSilenceMs: 500, factor: 4 };
const request = (): Waiting => ({ waitingSinceMs: 0, waits: null, previousWaiting: null, nextWaiting: null });

/** Has the endpoint answer so many requests, each after `tookMs`. */
function answer(route: RouteWaits, row: number, count: number, tookMs: number): void {
  for (let i = 0; i < count; i++) {
    const one = request();
    route.at(row).begin(one, 0);
    route.at(row).answered(one, tookMs);
  }
}

describe("RouteWaits", () => {
  it("says nothing of silence before the route has shown enough, and the endpoint some of it", () => {
    const route = new RouteWaits(new KeptWaits());
    answer(route, 1, 19, 10);
    expect(route.at(1).silenceLimitMs(config, 100)).toBeNull();
    answer(route, 1, 1, 10);
    expect(route.at(1).silenceLimitMs(config, 100)).toBe(500);
    expect(route.at(2).silenceLimitMs(config, 100)).toBeNull();
    answer(route, 2, 5, 10);
    expect(route.at(2).silenceLimitMs(config, 100)).toBe(500);
  });

  it("waits several times as long as the slowest endpoint has taken, for all of them", () => {
    const route = new RouteWaits(new KeptWaits());
    answer(route, 1, 30, 10);
    answer(route, 2, 5, 3_000);
    expect(route.at(1).silenceLimitMs(config, 3_000)).toBe(12_000);
  });

  it("counts what others answer while one is silent", () => {
    const route = new RouteWaits(new KeptWaits());
    answer(route, 1, 5, 10);
    expect(route.at(1).answersElsewhere).toBe(0);
    answer(route, 2, 3, 10);
    expect([route.at(1).answersElsewhere, route.at(2).answersElsewhere]).toEqual([3, 0]);
  });

  it("adds up the time of requests that give up one after the other, until there is an answer or a gap", () => {
    const waits = new RouteWaits(new KeptWaits()).at(1);
    const wait = (fromMs: number, toMs: number): Waiting => {
      const one = request();
      waits.begin(one, fromMs);
      waits.gaveUp(one, toMs);
      return one;
    };
    wait(0, 300);
    expect(waits.gaveUpForMs(300)).toBe(0);
    wait(1_300, 1_600);
    expect([waits.gaveUpForMs(1_600), waits.first]).toEqual([1_600, null]);
    waits.ping = "dead";
    wait(2_601, 2_700);
    expect([waits.gaveUpForMs(2_700), waits.ping]).toEqual([0, "unasked"]);
    wait(2_700, 2_800);
    const answered = request();
    waits.begin(answered, 2_900);
    waits.answered(answered, 3_000);
    expect(waits.gaveUpForMs(3_000)).toBe(0);
  });

  it("forgets an endpoint that was not used lately, of all routes, but not who is waited for: it has to show anew", () => {
    const kept = new KeptWaits(3);
    const [first, second] = [new RouteWaits(kept), new RouteWaits(kept)];
    answer(first, 1, 30, 10);
    answer(first, 2, 5, 10);
    const waiting = request();
    first.at(2).begin(waiting, 0);
    answer(second, 3, 1, 10);
    answer(second, 4, 1, 10);
    expect([first.find(1), first.find(2)?.first, second.find(3)?.row, kept.count]).toEqual([null, waiting, 3, 3]);
    answer(first, 1, 4, 10);
    expect(first.at(1).silenceLimitMs(config, 100)).toBeNull();
    answer(first, 1, 1, 10);
    // How long the route's answers take is known all the same.
    expect(first.at(1).silenceLimitMs(config, 100)).toBe(500);
    expect([second.find(3), second.find(4)?.row]).toEqual([null, 4]);
  });

  it("leaves nothing behind when it is closed, also of who waits then", () => {
    const kept = new KeptWaits();
    const route = new RouteWaits(kept);
    answer(route, 1, 1, 10);
    const waiting = request();
    const waits = route.at(2);
    waits.begin(waiting, 0);
    route.close();
    expect([route.find(1), kept.count]).toEqual([null, 0]);
    waits.answered(waiting, 10);
    expect(kept.count).toBe(0);
    // Of a request that began before and is sent again.
    const again = route.at(3);
    again.begin(waiting, 20);
    expect([route.find(3), kept.count]).toEqual([null, 0]);
    again.end(waiting);
    expect([again.first, kept.count]).toEqual([null, 0]);
  });

  it("asks anew about an endpoint whose requests all went elsewhere, when the next one waits", () => {
    const waits = new RouteWaits(new KeptWaits()).at(1);
    const moved = request();
    waits.begin(moved, 0);
    waits.ping = "dead";
    waits.end(moved);
    waits.begin(moved, 10);
    expect(waits.ping).toBe("unasked");
  });

  it.each([1, 2, 3, 4, 9])("knows each of %i endpoints, and forgets each alone", (count) => {
    const rows = Array.from({ length: count }, (_, i) => 7 * i);
    for (const gone of rows) {
      const kept = new KeptWaits();
      const route = new RouteWaits(kept);
      const all = rows.map((row) => route.at(row));
      expect(rows.map((row) => route.at(row) === all[rows.indexOf(row)])).toEqual(rows.map(() => true));
      expect([route.find(-1), route.find(8), kept.count]).toEqual([null, null, count]);
      route.retainOnly(new Set(rows.filter((row) => row !== gone)));
      expect(rows.filter((row) => route.find(row) === null)).toEqual([gone]);
      expect(route.at(gone)).not.toBe(all[rows.indexOf(gone)]);
      route.close();
      expect([rows.filter((row) => route.find(row) !== null), kept.count]).toEqual([[], 0]);
    }
  });

  it("forgets endpoints that are gone, unless somebody waits for them", () => {
    const route = new RouteWaits(new KeptWaits());
    const waiting = request();
    const [gone, kept] = [route.at(1), route.at(2)];
    kept.begin(waiting, 0);
    route.retainOnly(new Set());
    expect([route.at(1) === gone, route.at(2) === kept]).toEqual([false, true]);
  });

  it("keeps those that wait in the order in which they began, however they end", () => {
    const actions = fc.array(fc.nat(20), { maxLength: 60 });
    fc.assert(
      fc.property(actions, (picks) => {
        const waits = new RouteWaits(new KeptWaits()).at(1);
        const list: Waiting[] = [];
        for (const [nowMs, pick] of picks.entries()) {
          if (pick < list.length) {
            const [ended] = list.splice(pick, 1);
            waits.end(ended!);
            expect(ended!.waits).toBeNull();
          } else {
            const one = request();
            waits.begin(one, nowMs);
            list.push(one);
          }
          const found: Waiting[] = [];
          for (let each = waits.first; each !== null; each = each.nextWaiting) found.push(each);
          expect(found).toEqual(list);
          expect(waits.countOver(5, nowMs)).toBe(list.filter((each) => nowMs - each.waitingSinceMs > 5).length);
        }
      }),
    );
  });
});
