import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Read } from "./option-readers.ts";
import { type DecodedSnapshot, decodeSnapshotBytes } from "./snapshot/snapshot-bytes.ts";

/** Where a node that has nothing finds a configuration without a control plane. */
export type SeedPlace =
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "url"; readonly url: string };

/** What is larger is not read. */
const SEED_MAX_BYTES = 1024 * 1024 * 1024;

/** A download that takes longer is given up, and begun anew. */
const DOWNLOAD_TIMEOUT_MS = 60_000;

/** A path, or an http or https URL. */
export const readSeedPlace: Read<SeedPlace> = (text) => {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { ok: true, value: { type: "file", path: resolve(text) } };
  if (scheme !== "http" && scheme !== "https") return { ok: false, problem: "is neither a path nor an http(s) URL" };
  if (!URL.canParse(text)) return { ok: false, problem: "is not a URL" };
  return { ok: true, value: { type: "url", url: text } };
};

/** A place as it may stand in a log: what signs or opens a URL is not in it. */
export function seedName(place: SeedPlace): string {
  if (place.type === "file") return place.path;
  const { origin, pathname } = new URL(place.url);
  return origin + pathname;
}

/** Reads a seed and verifies every byte of it. Never rejects. */
export async function readSeed(place: SeedPlace): Promise<DecodedSnapshot> {
  try {
    return decodeSnapshotBytes(place.type === "file" ? await readSeedFile(place.path) : await download(place.url));
  } catch (error) {
    return { ok: false, problem: messageOf(error) };
  }
}

async function readSeedFile(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size > SEED_MAX_BYTES) throw new Error(tooLarge);
  return readFile(path);
}

async function download(text: string): Promise<Uint8Array> {
  const url = new URL(text);
  const headers = new Headers();
  // fetch takes no URL with credentials.
  if (url.username !== "" || url.password !== "") {
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.set("Authorization", `Basic ${Buffer.from(credentials).toString("base64")}`);
    [url.username, url.password] = ["", ""];
  }
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`it was answered with ${response.status}`);
  }
  const parts: Uint8Array[] = [];
  let byteCount = 0;
  for await (const part of response.body ?? []) {
    byteCount += part.length;
    if (byteCount > SEED_MAX_BYTES) throw new Error(tooLarge);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const tooLarge = `it has more than ${SEED_MAX_BYTES} bytes`;

/** What fetch rejects with says why only in its cause. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
