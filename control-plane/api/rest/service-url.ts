import type { Problem } from "../../resource/checked.ts";
import type { JsonObject } from "./print-resource.ts";

/** protocol://host[:port][/path][?query][#fragment]; the authority and what follows it are looked at afterwards. */
const urlPattern = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)/;
const authorityPattern = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/;

export interface ExpandedUrl {
  /** The body without `url`. */
  readonly json: JsonObject;
  readonly problems: readonly Problem[];
}

/**
 * Replaces the write-only field `url` of a service by the four that it stands for. All four are set, also when the
 * body has them too: a url without a path means no path. Query and fragment are dropped, as Kong does.
 */
export function expandServiceUrl(body: JsonObject): ExpandedUrl {
  if (!Object.hasOwn(body, "url")) return { json: body, problems: [] };
  const { url, ...json } = body;
  if (url === null) return { json, problems: [] };
  const parts = splitUrl(url);
  if (typeof parts !== "string") return { json: { ...json, ...parts }, problems: [] };
  const problem: Problem = { code: "invalid", field: "url", message: parts };
  return { json, problems: [problem] };
}

/** The four fields, or what is wrong. */
function splitUrl(url: unknown): JsonObject | string {
  if (typeof url !== "string") return "expected a string";
  const [, protocol = "", authority = "", path = ""] = urlPattern.exec(url) ?? [];
  const [, ipv6, name, port] = authorityPattern.exec(authority) ?? [];
  const host = ipv6 ?? name ?? "";
  if (host === "") return "should be protocol://host, with :port and /path where needed";
  // A name and password here would be dropped without a word, and the requests refused by the target.
  if (authority.includes("@")) return "must not have a user name";
  const scheme = protocol.toLowerCase();
  const defaultPort = scheme === "https" ? 443 : 80;
  return {
    protocol: scheme,
    host,
    // A port that is no number stays text, and the field's own check says so.
    port: port === undefined ? defaultPort : /^\d+$/.test(port) ? Number(port) : port,
    path: path === "" ? null : path,
  };
}
