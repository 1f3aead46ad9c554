const equalsSign = 0x3d;
const timeoutName = "timeout";
/** More is as good as for ever, and stays a safe number of milliseconds. */
const maxSeconds = 86_400;

/**
 * The seconds of `timeout=N` in the value of Keep-Alive at [start, end); -1 when there is none. It is only a hint: what
 * cannot be read is no error.
 *
 * Source: RFC 2068 section 19.7.1, which no later HTTP specification took over, and which servers go on sending.
 */
export function readKeepAliveTimeout(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at + timeoutName.length < end; at++) {
    if (!isTimeoutAt(bytes, at)) continue;
    let digit = at + timeoutName.length + 1;
    let seconds = -1;
    for (; digit < end && bytes[digit]! >= 0x30 && bytes[digit]! <= 0x39; digit++) {
      seconds = Math.min(Math.max(seconds, 0) * 10 + bytes[digit]! - 0x30, maxSeconds);
    }
    return seconds;
  }
  return -1;
}

function isTimeoutAt(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < timeoutName.length; i++) if ((bytes[at + i]! | 0x20) !== timeoutName.charCodeAt(i)) return false;
  return bytes[at + timeoutName.length] === equalsSign;
}
