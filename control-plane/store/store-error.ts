/** The store's file is held by another process. */
export class StoreLockedError extends Error {
  override readonly name = "StoreLockedError";
  readonly path: string;
  /** Process that holds the file; null when its pid file says nothing believable. */
  readonly ownerPid: number | null;

  constructor(path: string, ownerPid: number | null) {
    super(`${path} is in use by ${ownerPid === null ? "another process" : `process ${ownerPid}`}`);
    this.path = path;
    this.ownerPid = ownerPid;
  }
}

/** The store's file or folder cannot be used: unreadable, not ours, damaged, or of a newer version. */
export class StoreUnusableError extends Error {
  override readonly name = "StoreUnusableError";
  readonly path: string;

  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`${path} cannot be used: ${reason}`, options);
    this.path = path;
  }
}
