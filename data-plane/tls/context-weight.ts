/**
 * OpenSSL holds some 25 to 40 KB for a context of TLS, which V8 knows nothing of: it would not collect those that are
 * used no more until 150 MB of them had come together (1,000 certificates asked for in turn, 100 of them kept).
 */
const weightBytes = 163_840;

/**
 * Something that V8 sees, to be kept beside a context of TLS and let go with it; several times as heavy, so that a
 * collection comes after some hundreds. It takes no memory: of a buffer that could be resized, the system gives what is
 * touched alone.
 */
export function contextWeight(): ArrayBuffer {
  return new ArrayBuffer(weightBytes, { maxByteLength: weightBytes });
}
