/**
 * The etag of a resource at a revision. Opaque to clients: it says nothing but whether the resource was written since.
 * It is compared within one resource only, and a resource has one body per revision.
 */
export function etagOf(revision: number): string {
  return `r${revision.toString(36)}`;
}
