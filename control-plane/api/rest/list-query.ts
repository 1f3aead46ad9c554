import type { ListQuery } from "../../admin/resource-admin.ts";
import type { Answer } from "./rest-answer.ts";

const sizeDefault = 100;
const sizeMax = 1000;

export type ParsedListQuery =
  | { readonly ok: true; readonly query: ListQuery }
  | { readonly ok: false; readonly answer: Answer };

/** Reads `?size=`, `?offset=` and `?tags=a,b` (all of them) of a list. Other parameters are left alone, as Kong does. */
export function parseListQuery(params: URLSearchParams): ParsedListQuery {
  const size = parseSize(params.get("size"));
  if (typeof size === "string")
    return { ok: false, answer: { status: 400, body: { message: size, name: "invalid size", code: 9 } } };
  const tags = parseTags(params.get("tags"));
  if (tags.problem !== undefined) return { ok: false, answer: invalidTags(tags.problem) };
  const offset = params.get("offset");
  return {
    ok: true,
    query: {
      size,
      ...(offset === null || offset === "" ? {} : { pageToken: offset }),
      ...(tags.all === undefined ? {} : { tags: tags.all }),
    },
  };
}

/** The size, or what is wrong with it. */
function parseSize(text: string | null): number | string {
  if (text === null) return sizeDefault;
  if (!/^[-+]?\d+(\.\d+)?$/.test(text)) return "size must be a number";
  const size = Number(text);
  return Number.isInteger(size) && size >= 1 && size <= sizeMax
    ? size
    : `size must be an integer between 1 and ${sizeMax}`;
}

function parseTags(text: string | null): { all?: readonly string[]; problem?: string } {
  if (text === null) return {};
  if (text === "") return { problem: "cannot be null" };
  // A filter that is not understood must not widen the list: clients delete what they find in it.
  if (text.includes("/")) return { problem: "filtering by any of several tags ('/') is not supported yet" };
  const all = text.split(",");
  return all.includes("") ? { problem: "must be tags separated by ','" } : { all };
}

function invalidTags(problem: string): Answer {
  return {
    status: 400,
    body: {
      message: `invalid option (tags: ${problem})`,
      name: "invalid options",
      code: 11,
      options: { tags: problem },
    },
  };
}

/** One page in Kong's form; `next` is a path that keeps the client's filter and size. */
export function pageAnswer(
  path: string,
  params: URLSearchParams,
  rows: readonly unknown[],
  nextPageToken?: string,
): Answer {
  if (nextPageToken === undefined) return { status: 200, body: { data: rows, next: null } };
  const next = [`offset=${encodeURIComponent(nextPageToken)}`];
  for (const name of ["tags", "size"]) {
    const value = params.get(name);
    if (value !== null) next.push(`${name}=${encodeURIComponent(value)}`);
  }
  return { status: 200, body: { data: rows, next: `${path}?${next.join("&")}`, offset: nextPageToken } };
}
