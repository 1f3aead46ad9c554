/**
 * Messages in the order they came, each handed out once. Tests wait for the next of a kind instead of sleeping;
 * a wait that nothing ends rejects with what was there instead.
 */
export class MessageQueue<T extends { readonly case?: string | undefined }> {
  readonly #unread: T[] = [];
  readonly #waiting: { readonly kind: string; readonly resolve: (message: T) => void }[] = [];

  push(message: T): void {
    const index = this.#waiting.findIndex(({ kind }) => kind === message.case);
    if (index === -1) this.#unread.push(message);
    else this.#waiting.splice(index, 1)[0]!.resolve(message);
  }

  /** The next message of a kind; those of other kinds stay. */
  next<K extends T["case"] & string>(kind: K, timeoutMs = 20_000): Promise<Extract<T, { case: K }>> {
    const index = this.#unread.findIndex((message) => message.case === kind);
    if (index !== -1) return Promise.resolve(this.#unread.splice(index, 1)[0] as Extract<T, { case: K }>);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const unread = this.#unread.map((message) => message.case).join(", ");
        reject(new Error(`no ${kind} came within ${timeoutMs} ms; unread: ${unread || "nothing"}`));
      }, timeoutMs);
      const done = (message: T) => {
        clearTimeout(timer);
        resolve(message as Extract<T, { case: K }>);
      };
      this.#waiting.push({ kind, resolve: done });
    });
  }

  /** How many of a kind have come and were not taken. */
  unreadCount(kind: T["case"]): number {
    return this.#unread.filter((message) => message.case === kind).length;
  }
}
