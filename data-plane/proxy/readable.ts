/** Heads are read byte for byte; what was not ASCII when it was sent is shown as it was. */
export function readable(text: string): string {
  return Buffer.from(text, "latin1").toString();
}
