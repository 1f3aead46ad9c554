import { RE2JS } from "re2js";
import { readHostAddress } from "./host-address.ts";
import { normalizePath } from "./normalize-path.ts";

/** What is wrong with a text, in Kong's words; null when it is fine. */
export type TextRule = (text: string) => string | null;

/** Strictly lower-case; anything else is a name. */
export const isUuid = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text);

/** Names of services and routes. */
export const checkName: TextRule = (name) =>
  /^[A-Za-z0-9.\-_~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]+$/u.test(name)
    ? null
    : `invalid value '${name}': the only accepted ascii characters are alphanumerics or ., -, _, and ~`;

/** Tags; commas and slashes are how a filter joins them. */
export const checkTag: TextRule = (tag) =>
  /^[ !-+\-.0-~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]+$/u.test(tag)
    ? null
    : `invalid tag '${tag}': expected printable ascii (except \`,\` and \`/\`) or valid utf-8 sequences`;

/** Names of upstreams: they stand where a hostname would. */
export const checkUpstreamName: TextRule = (name) => {
  const read = readHostAddress(name);
  const fault =
    typeof read === "string"
      ? "must be a valid hostname"
      : read.type !== "name"
        ? "no ip addresses allowed"
        : read.port !== undefined
          ? "no port allowed"
          : null;
  return fault === null ? null : `Invalid name ('${name}'); ${fault}`;
};

/** The host of a service. */
export const checkHost: TextRule = (host) => {
  const read = readHostAddress(host);
  if (read === "host") return `invalid value: ${host}`;
  return read === "port" || read.port !== undefined ? "must not have a port" : null;
};

/** host[:port], as in an upstream's host_header. */
export const checkHostWithPort: TextRule = (text) => {
  const read = readHostAddress(text);
  if (read === "port") return "invalid port number";
  return read === "host" ? `invalid hostname: ${text}` : null;
};

/** A host of a route: at most one "*", as its first or its last label. */
export const checkRouteHost: TextRule = (host) => {
  if (/\*.*\*/s.test(host)) return "invalid wildcard: must have at most one wildcard";
  if (host.includes("*") && !host.startsWith("*.") && !/\.\*(?::[0-9]+)?$/.test(host))
    return "invalid wildcard: must be placed at leftmost or rightmost label";
  const fault = checkHostWithPort(host.replace("*", "abc"));
  return fault?.startsWith("invalid hostname") ? `invalid hostname: ${host}` : fault;
};

/** A TLS server name. */
export const checkServerName: TextRule = (name) => {
  const read = readHostAddress(name);
  if (read === "host") return `invalid value: ${name}`;
  if (read === "port" || read.port !== undefined) return "must not have a port";
  return read.type === "name" ? null : "must not be an IP";
};

/** A TLS server name of a route, maybe with one "*" at an end. */
export const checkRouteServerName: TextRule = (name) => {
  const at = name.indexOf("*");
  if (at < 0) return checkServerName(name);
  if (at !== 0 && at !== name.length - 1) return "wildcard must be leftmost or rightmost character";
  if (name.indexOf("*", at + 1) >= 0) return "only one wildcard must be specified";
  return checkServerName(name.replace("*", "wildcard"));
};

/** A TLS server name that a certificate is served for: a hostname, maybe with "*" as its first or last label, or "*". */
export const checkSniName: TextRule = (name) => {
  const fault = checkRouteServerName(name);
  if (fault !== null || /^[^*]+$|^\*$|^\*\.[^*]+$|^[^*]+\.\*$/.test(name)) return fault;
  return "wildcard must be the whole of the leftmost or rightmost label";
};

/** A header's name. Narrower than HTTP's tokens: what Kong takes, so that a configuration moves both ways. */
export const checkHeaderName: TextRule = (name) =>
  /^[A-Za-z0-9_-]+$/.test(name)
    ? null
    : `bad header name '${name}', allowed characters are A-Z, a-z, 0-9, '_', and '-'`;

/** A cookie's name: an HTTP token (RFC 9110 section 5.6.2). */
export const checkCookieName: TextRule = (name) =>
  /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/.test(name)
    ? null
    : "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the characters " +
      '()<>@,;:\\"/?={}[] are not allowed.';

/** A URL path: of a service or a probe. */
export const checkPath: TextRule = (path) => {
  if (!path.startsWith("/")) return "should start with: /";
  if (path.includes("//")) return "must not have empty segments";
  if (!/^[A-Za-z0-9\-._~/%:@!$&'()*+,;=]*$/.test(path))
    return `invalid path: '${path}' (characters outside of the reserved list of RFC 3986 found)`;
  return brokenEscape(path);
};

/** Longest regular expression: it is parsed, and maybe compiled, before it is known to be sound. */
export const regexMaxLength = 8192;

/** Path attribute of a cookie: a URL path without what would end the attribute (RFC 6265 section 4.1.1). */
export const checkCookiePath: TextRule = (path) =>
  checkPath(path) ?? (path.includes(";") ? "must not contain ';'" : null);

/** A path of a route: "/x" is a prefix, and must be written as requests are compared; "~/x" a regular expression. */
export const checkRoutePath: TextRule = (path) => {
  if (path.length > regexMaxLength) return `length must be at most ${regexMaxLength}`;
  if (!path.startsWith("/") && !path.startsWith("~/")) return "should start with: / (fixed path) or ~/ (regex path)";
  if (path.includes("//")) return "must not have empty segments";
  if (path.startsWith("~")) return checkRegex(path.slice(1));
  const fault = brokenEscape(path);
  if (fault !== null) return fault;
  const normalized = normalizePath(path);
  return path === normalized ? null : `non-normalized path, consider use '${normalized}' instead`;
};

/** A value of a route's header: a text, or a regular expression behind "~*". */
export const checkRouteHeaderValue: TextRule = (value) => {
  if (value === "") return "length must be at least 1";
  if (value.length > regexMaxLength) return `length must be at most ${regexMaxLength}`;
  return value.startsWith("~*") ? checkRegex(value.slice(2)) : null;
};

/** Compiled by the engine that the nodes match with, so that what is stored here is served there. */
export const checkRegex: TextRule = (regex) => {
  try {
    RE2JS.compile(regex);
    return null;
  } catch (error) {
    return `invalid regex: '${regex}' (${error instanceof Error ? error.message : String(error)})`;
  }
};

function brokenEscape(path: string): string | null {
  const broken = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(path);
  return broken === null ? null : `invalid url-encoded value: '${broken[0]}'`;
}
