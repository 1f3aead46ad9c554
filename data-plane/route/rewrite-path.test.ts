import { describe, expect, it } from "vitest";
import { rewritePath } from "./rewrite-path.ts";

describe("rewritePath", () => {
  it.each([
    // service path, route path, strips, request path, upstream path
    [null, "/r", true, "/r", "/"],
    [null, "/r", true, "/r/x", "/x"],
    [null, "/r", false, "/r", "/r"],
    [null, "/r", false, "/r/x", "/r/x"],
    [null, "/r/", true, "/r/", "/"],
    [null, "/r/", true, "/r/x", "/x"],
    [null, "/r/", false, "/r/", "/r/"],
    ["/", "/route", true, "/route", "/"],
    ["/", "/route", true, "/route/", "/"],
    ["/", "/route", true, "/routereq", "/req"],
    ["/s", "/r", true, "/r", "/s"],
    ["/s", "/r", true, "/r/x", "/s/x"],
    ["/s", "/r", false, "/r", "/s/r"],
    ["/s", "/r", false, "/r/x", "/s/r/x"],
    ["/s", "/r/", true, "/r/", "/s/"],
    ["/s", "/r/", true, "/r/x", "/s/x"],
    ["/s", "/r/", false, "/r/", "/s/r/"],
    ["/s/", "/r", true, "/r", "/s"],
    ["/s/", "/r", true, "/r/x", "/s/x"],
    ["/s/", "/r", false, "/r", "/s/r"],
    ["/s/", "/r/", true, "/r/", "/s/"],
    ["/s/", "/r/", false, "/r/", "/s/r/"],
    ["/srv", "/rou", false, "/roureq", "/srv/roureq"],
    ["/srv", "/rou", true, "/roureq", "/srv/req"],
    ["/service", "/route", false, "/route/", "/service/route/"],
    ["/service", "/route", true, "/route/", "/service/"],
    ["/service", "/", true, "/", "/service"],
    ["/service/", "/", true, "/", "/service/"],
    ["/service", "", true, "/", "/service"],
    ["/service", "", false, "/", "/service"],
    ["/service", "", true, "/x", "/service/x"],
    ["/service", "/route", true, "/route./req", "/service/req"],
    ["/service", "/route", true, "/route../req", "/service/req"],
    ["/service", "/route", true, "/route..;a/req", "/service/req"],
    ["/service", "/route", true, "/route..%3Ba/req", "/service/req"],
    ["/service", "/route", true, "/route;a/req", "/service/req"],
    ["/service", "/route", true, "/route%3Ba/req", "/service/req"],
    ["/service", "/route", true, "/route%20a/req", "/service/%20a/req"],
    ["/service", "/route", true, "/route..", "/service"],
    ["/service", "/route", true, "/route.x/req", "/service/.x/req"],
    [null, "/route", true, "/route../req", "/req"],
  ])("sends, with service path %j and route %j (strips: %j), %s as %s", (base, route, strips, path, want) => {
    expect(rewritePath(base, path, route.length, strips, "")).toBe(want);
  });

  it.each(["", "?", "?a=1", "?x=%2F%20y&&"])("keeps the query %j as it came", (query) => {
    expect(rewritePath(null, "/plain", 6, true, query)).toBe(`/${query}`);
    expect(rewritePath("/s", "/plain/a", 6, true, query)).toBe(`/s/a${query}`);
    expect(rewritePath("/s", "/", 0, true, query)).toBe(`/s${query}`);
  });
});
