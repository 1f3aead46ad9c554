import type { ListQuery } from "../../admin/resource-admin.ts";

/** Rows in a page where the request does not say. */
export const defaultPageSize = 100;

/** The query of a List request; its page_size is 0 (not said) to 1000. */
export function listQuery(request: { pageSize: number; pageToken: string; tags: string[] }): ListQuery {
  return {
    size: request.pageSize || defaultPageSize,
    ...(request.pageToken === "" ? {} : { pageToken: request.pageToken }),
    ...(request.tags.length === 0 ? {} : { tags: request.tags }),
  };
}
