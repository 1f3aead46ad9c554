import { Field } from "../http1/field-kind.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { AddressClaims } from "./client-address.ts";

/** What a trusted peer says about the request as the client made it; "" for what it does not say. */
export interface OriginClaims extends AddressClaims {
  readonly scheme: "http" | "https" | "";
  /** May have a port. */
  readonly host: string;
  readonly port: string;
  readonly path: string;
  readonly prefix: string;
}

/**
 * Reads X-Forwarded-*, Forwarded and X-Real-IP. Where proxies added to a list, its first entry is the client's.
 * Values that are not of their field's form count as not said.
 */
export function readOriginClaims(head: RequestHead, bytes: Buffer): OriginClaims {
  const { fields } = head;
  const said = new Map<string, string>();
  for (let index = 0; index < fields.count; index++) {
    const kind = fields.kindAt(index);
    if (kind !== Field.Replaced && kind !== Field.XForwardedFor && kind !== Field.Forwarded) continue;
    const name = bytes.toString("latin1", fields.nameStart[index]!, fields.nameEnd[index]!).toLowerCase();
    const before = said.get(name);
    const value = fields.valueAt(index, bytes);
    if (before === undefined || before === "") said.set(name, value);
    else if (value !== "") said.set(name, `${before}, ${value}`);
  }
  const get = (name: string) => said.get(name) ?? "";
  const first = (name: string) => get(name).split(",", 1)[0]!.trim();
  const scheme = first("x-forwarded-proto").toLowerCase();
  return {
    forwardedFor: get("x-forwarded-for"),
    forwarded: get("forwarded"),
    realIp: get("x-real-ip"),
    scheme: scheme === "http" || scheme === "https" ? scheme : "",
    host: ofForm(first("x-forwarded-host"), /^[A-Za-z0-9._~-]+(?::[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?$/),
    port: ofForm(first("x-forwarded-port"), /^[0-9]{1,5}$/),
    path: ofForm(get("x-forwarded-path"), /^\/[!-~]*$/),
    prefix: ofForm(get("x-forwarded-prefix"), /^\/[!-~]*$/),
  };
}

function ofForm(value: string, form: RegExp): string {
  return form.test(value) ? value : "";
}
