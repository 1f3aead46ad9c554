import { HashInput, type Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { HashConfig, HashInputConfig } from "../config/balancing-config.ts";
import { cookieConfig, isCookieName } from "./cookie-config.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";

/** Fields that say what is hashed, for hash_on and for hash_fallback. */
interface HashFields {
  readonly field: "hash_on" | "hash_fallback";
  readonly input: HashInput | undefined;
  readonly header: string | undefined;
  readonly queryArg: string | undefined;
  readonly uriCapture: string | undefined;
}

/** What consistent hashing hashes: the client's address, where nothing else is named. */
export function compileHash(upstream: Upstream): Compiled<HashConfig> {
  const on = compileInput(upstream, {
    field: "hash_on",
    input: upstream.hashOn,
    header: upstream.hashOnHeader,
    queryArg: upstream.hashOnQueryArg,
    uriCapture: upstream.hashOnUriCapture,
  });
  if (!on.ok) return on;
  const fallback = compileInput(upstream, {
    field: "hash_fallback",
    input: upstream.hashFallback,
    header: upstream.hashFallbackHeader,
    queryArg: upstream.hashFallbackQueryArg,
    uriCapture: upstream.hashFallbackUriCapture,
  });
  if (!fallback.ok) return fallback;
  const boundedLoad = upstream.balancing?.boundedLoad ?? null;
  if (boundedLoad !== null && !(boundedLoad >= 1.05 && boundedLoad <= 10)) {
    return invalid("balancing.bounded_load", "must be between 1.05 and 10");
  }
  return compiled({ on: on.value ?? { kind: "ip" }, fallback: fallback.value, boundedLoad });
}

/** Null for none. */
function compileInput(upstream: Upstream, fields: HashFields): Compiled<HashInputConfig | null> {
  const { field, input = HashInput.NONE } = fields;
  switch (input) {
    case HashInput.NONE:
      return compiled(null);
    case HashInput.IP:
      return compiled({ kind: "ip" });
    case HashInput.PATH:
      return compiled({ kind: "path" });
    case HashInput.CONSUMER:
      return compiled({ kind: "consumer" });
    case HashInput.HEADER:
      return named(`${field}_header`, "header", fields.header?.toLowerCase());
    case HashInput.QUERY_ARG:
      return named(`${field}_query_arg`, "query_arg", fields.queryArg);
    case HashInput.URI_CAPTURE:
      return named(`${field}_uri_capture`, "uri_capture", fields.uriCapture);
    case HashInput.COOKIE:
      return compileCookie(upstream);
    default:
      return invalid(field, `unknown input number ${input}`);
  }
}

function named(
  field: string,
  kind: "header" | "query_arg" | "uri_capture",
  name: string | undefined,
): Compiled<HashInputConfig> {
  return name === undefined || name === "" ? invalid(field, "is missing") : compiled({ kind, name });
}

/** hash_on and hash_fallback share their cookie. */
function compileCookie({ hashOnCookie, hashOnCookiePath }: Upstream): Compiled<HashInputConfig> {
  if (!isCookieName(hashOnCookie)) return invalid("hash_on_cookie", "is missing, or no cookie's name");
  const cookie = cookieConfig(hashOnCookie, hashOnCookiePath);
  return cookie === null
    ? invalid("hash_on_cookie_path", "is no path of a cookie")
    : compiled({ kind: "cookie", ...cookie });
}
