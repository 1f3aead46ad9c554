import type { CookieConfig } from "../config/balancing-config.ts";

/** Whether a text is a cookie's name: an HTTP token (RFC 9110 section 5.6.2). */
export function isCookieName(text: string | undefined): text is string {
  return text !== undefined && /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** A cookie with its path, "/" for none; null when that would end its attribute (RFC 6265 section 4.1.1). */
export function cookieConfig(name: string, path = "/"): CookieConfig | null {
  return /^\/[\x21-\x3a\x3c-\x7e]*$/.test(path) ? { name, path } : null;
}
