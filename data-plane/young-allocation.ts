import { setFlagsFromString } from "node:v8";

/**
 * Makes V8 allocate all objects as young ones, in every thread of the process; to be called before workers start.
 *
 * Otherwise V8 notes which literals mostly outlive a collection, and allocates those as old objects from then on. The
 * ones of a connection seem to, as long as few connections make a collection. But an old object keeps whatever it refers
 * to until the next collection of old ones: so a third of all that short connections allocate had to be moved and
 * collected as old, a quarter of what they cost (`npm run bench -- --only connections`). A V8 without this flag says so
 * in one line on stderr, and works as before.
 */
export function keepAllocationsYoung(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
