import { adminDefault } from "./admin-url.ts";
import { readArguments } from "./read-arguments.ts";

/** What `penstock explain` was told to do. */
export interface ExplainOptions {
  /** The fields of explain.proto's request; what is left out has its defaults. */
  readonly request: AskedRequest;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  readonly isJson: boolean;
}

export interface AskedRequest {
  readonly scheme: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly clientAddress: string;
  readonly sni: string;
  readonly node: string;
}

export type ParsedExplainOptions =
  | { readonly type: "options"; readonly options: ExplainOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

const help = `Usage: penstock explain [METHOD] URL|/PATH [options]

Asks a running node what it would do with a request: which route takes it and why the others do not, where it would go
and why not elsewhere, and what the target would get. Nothing is sent, and nobody's turn is taken.

  -H, --header 'NAME: VALUE'
      a header field of the request, as often as needed; Host is the request's host
  --from ADDRESS
      where the client comes from; default: 127.0.0.1
  --sni NAME
      server name of the TLS connection; default for https: the host
  --node ID
      the node that is asked, by id or hostname; default: any that is connected
  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --json
      all of the answer, as JSON
  --help
      this text

Exit codes: 0 a target would be asked; 1 the node would answer by itself, or have it wait; 2 the command or the connection failed.
`;

const flags = {
  withValue: { header: "'NAME: VALUE'", from: "ADDRESS", sni: "NAME", node: "ID" },
  alone: ["json"],
  short: { "-H": "header" },
};

/** Reads the command line and, where it is silent, the environment. What a request may be, the control plane says. */
export function parseExplainOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedExplainOptions {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const place = readPlace(words, lines);
  const headers = (given.get("header") ?? []).flatMap((text) => readHeader(text, lines));
  const hosts = headers.filter(({ name }) => name.toLowerCase() === "host");
  if (hosts.length > 1) lines.push("Host: once at most");
  if (lines.length > 0) return { type: "problems", lines };
  const request = {
    ...place,
    host: hosts[0]?.value ?? place.host,
    headers: headers.filter((header) => !hosts.includes(header)),
    clientAddress: given.get("from")?.at(-1) ?? "",
    sni: given.get("sni")?.at(-1) ?? "",
    node: given.get("node")?.at(-1) ?? "",
  };
  return { type: "options", options: { request, adminUrl, isJson: given.has("json") } };
}

/** Method, and the URL taken apart as it is: what is sent must be what was typed, dots and all. */
function readPlace(words: readonly string[], lines: string[]) {
  const [first = "", second, ...more] = words;
  const [method, place] = second === undefined ? ["", first] : [first, second];
  if (words.length === 0) lines.push("needs a URL or a path; see --help");
  if (more.length > 0)
    lines.push(`a method and a URL at most, not ${words.map((word) => JSON.stringify(word)).join(", ")}`);
  const match = /^(?:(https?):\/\/([^/?#]+))?((?:\/[^#]*)?(?:\?[^#]*)?)$/s.exec(place);
  if (words.length > 0 && (match === null || place === ""))
    lines.push(`${JSON.stringify(place)} is neither an http URL nor a path that begins with "/"`);
  const [, scheme = "", host = "", rest = ""] = match ?? [];
  return { scheme, method, host, path: rest.startsWith("?") ? `/${rest}` : rest };
}

function readHeader(text: string, lines: string[]): readonly { name: string; value: string }[] {
  const colon = text.indexOf(":");
  if (colon > 0) return [{ name: text.slice(0, colon), value: text.slice(colon + 1).trim() }];
  lines.push(`--header: ${JSON.stringify(text)} is not 'NAME: VALUE'`);
  return [];
}
