import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { StartError } from "./start-error.ts";

const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * The authorities that are trusted for targets, one PEM each; null without a file: those that come with Node.
 * Errors: StartError when the file cannot be read or holds something else.
 */
export function openUpstreamCa(path: string | null): readonly string[] | null {
  if (path === null) return null;
  try {
    const pems = readFileSync(path, "utf8").match(certificateBlock) ?? [];
    if (pems.length === 0) throw new Error("it holds no certificate");
    for (const pem of pems) new X509Certificate(pem);
    return pems;
  } catch (cause) {
    throw new StartError(`--upstream-ca-file ${path}: ${(cause as Error).message}`, { cause });
  }
}
