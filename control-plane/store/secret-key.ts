import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Length of the key of AES-256. */
const keyBytes = 32;

/**
 * The key that is written in a file as 64 hexadecimal digits; null where there is no such file.
 * Errors: throws, with a line for the user, when the file cannot be read or holds something else.
 */
export function readSecretKey(path: string): Buffer | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Error(`the secret key file ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new Error(`the secret key file ${path} does not hold 64 hexadecimal digits`);
  return Buffer.from(text, "hex");
}

/**
 * Makes a key and writes it, to be read by its owner only. On disk for good when this returns: what is sealed with a
 * key that was lost is lost.
 * Errors: throws, with a line for the user, also when the file has come to be there meanwhile.
 */
export function createSecretKey(path: string): Buffer {
  const key = randomBytes(keyBytes);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // "wx": never over a key that is there already.
    const file = openSync(path, "wx", 0o600);
    try {
      writeSync(file, `${key.toString("hex")}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncFolder(dirname(path));
  } catch (cause) {
    throw new Error(`the secret key file ${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
  return key;
}

/** Whether others than its owner may read the file; always false on Windows, where modes say nothing. */
export function isReadByOthers(path: string): boolean {
  return process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0;
}

/** A new file is found after a loss of power only once its folder is on disk, too. */
function syncFolder(path: string): void {
  // Windows does not open folders, and needs no such thing.
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
