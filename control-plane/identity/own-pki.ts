import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";
import type { SyncCredentials } from "./sync-tls.ts";

/** Files with the sync port's certificates, where they come from elsewhere; PEM. */
export interface OwnPkiFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** The authorities that issue the nodes' certificates. */
  readonly clientCaFile: string;
}

/** Why certificates cannot be used, in one line for the user. */
export class OwnPkiError extends Error {
  override readonly name = "OwnPkiError";
}

/** How often the files are looked at. */
const lookMs = 60_000;

/** Errors: throws OwnPkiError. */
export function readOwnPki({ certFile, keyFile, clientCaFile }: OwnPkiFiles): SyncCredentials {
  const cert = readPem(certFile);
  const key = readPem(keyFile);
  const authorities = readPem(clientCaFile);
  try {
    // What it does not find wrong here, it takes later.
    createSecureContext({ cert, key });
    new X509Certificate(authorities);
  } catch (cause) {
    const files = `${certFile}, ${keyFile} and ${clientCaFile}`;
    throw new OwnPkiError(`the certificates of the sync port cannot be used (${files}): ${messageOf(cause)}`, {
      cause,
    });
  }
  return { cert, key, authorities };
}

export interface OwnPkiWatch {
  readonly files: OwnPkiFiles;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Log, "info" | "error">;
  /** They are others than before, and can be used. */
  readonly onChange: (credentials: SyncCredentials) => void;
}

/** Reads the files again every minute, since whoever issues certificates replaces them. Returns the way to stop. */
export function watchOwnPki(current: SyncCredentials, { files, clock, log, onChange }: OwnPkiWatch): () => void {
  let known = JSON.stringify(current);
  let toldProblem = "";
  let cancel = () => {};
  const look = () => {
    try {
      const read = readOwnPki(files);
      toldProblem = "";
      if (JSON.stringify(read) !== known) {
        known = JSON.stringify(read);
        onChange(read);
        log.info({ file: files.certFile }, "the sync port has new certificates");
      }
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== toldProblem) log.error({ problem }, "the sync port keeps the certificates that it had");
      toldProblem = problem;
    }
    cancel = clock.after(lookMs, look);
  };
  cancel = clock.after(lookMs, look);
  return () => cancel();
}

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new OwnPkiError(`the file ${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
