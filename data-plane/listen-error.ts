/** Why the proxy port could not be opened. */
export class ListenError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}
