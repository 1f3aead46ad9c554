let lastBytes = 0;

/**
 * What the process has in memory. Asking takes a file descriptor: when there is none left, which is when a node is
 * asked most, it is what it was the last time.
 */
export function residentMemoryBytes(): number {
  try {
    lastBytes = process.memoryUsage.rss();
  } catch {
    // Kept from before.
  }
  return lastBytes;
}
