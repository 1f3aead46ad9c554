/** Memory of this size is read into again and again; to make a view of other memory would not pay. */
const viewMinBytes = 65_536;

let viewed: Uint8Array | null = null;
let lastView: DataView = new DataView(new ArrayBuffer(0));

/** To read four bytes at once, wherever they lie. Of the memory that nearly everything is read into it is made once. */
export function viewOf(bytes: Uint8Array): DataView | null {
  if (bytes === viewed) return lastView;
  if (bytes.length < viewMinBytes) return null;
  viewed = bytes;
  lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return lastView;
}
