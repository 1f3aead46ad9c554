import type { FieldLines } from "../http1/field-lines.ts";

/**
 * The value of the first cookie of that name, as it came, quotes included; "" where there is none. Names are compared
 * exactly. Whatever else is in the fields may be what it wants.
 *
 * Source: RFC 6265 sections 4.2 and 5.4. Several fields are read as one, which some clients send.
 */
export function requestCookie(fields: FieldLines, bytes: Buffer, name: string): string {
  for (let index = 0; index < fields.count; index++) {
    if (!fields.isNamed(index, bytes, "cookie")) continue;
    const value = cookieIn(fields.valueAt(index, bytes), name);
    if (value !== null) return value;
  }
  return "";
}

/** null: it is not there. */
function cookieIn(text: string, name: string): string | null {
  for (let at = 0; at < text.length; ) {
    const semicolon = text.indexOf(";", at);
    const end = semicolon < 0 ? text.length : semicolon;
    const equals = text.indexOf("=", at);
    if (equals >= 0 && equals < end && text.slice(at, equals).trim() === name)
      return text.slice(equals + 1, end).trim();
    at = end + 1;
  }
  return null;
}

/** The field that gives a client a cookie, with its line end. It says nothing of when it ends: that is with the browser. */
export function setCookieLine({ name, path }: { readonly name: string; readonly path: string }, value: string): string {
  return `Set-Cookie: ${name}=${value}; Path=${path}; HttpOnly; SameSite=Lax\r\n`;
}
