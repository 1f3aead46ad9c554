import type { Admin } from "../../admin/resource-admin.ts";
import type { Checked } from "../../resource/checked.ts";
import { problemAnswer } from "./problem-answer.ts";
import type { ResourceEndpoints } from "./resource-rest.ts";
import { type Answer, type Endpoint, messageAnswer, notFoundAnswer, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

/** The kinds that refer to one other resource by a field of their own, under which Kong has it as a path. */
const referredId = {
  upstream: (admin: Admin, key: string) => idOf(admin.upstream.get({ key }), "clientCertificate"),
  service: (admin: Admin, key: string) => idOf(admin.service.get({ key }), "clientCertificate"),
  route: (admin: Admin, key: string) => idOf(admin.route.get({ key }), "service"),
};

/**
 * Kong's path to what a resource refers to, such as /services/{s}/client_certificate; `:key` is the referring one. PUT
 * where nothing is referred to creates it; it cannot be deleted from here.
 * @param endpoints of the kind that is referred to
 */
export function referredRest(admin: Admin, referrer: keyof typeof referredId, endpoints: ResourceEndpoints): RestRoute {
  const createFor = endpoints.createFor(referrer);
  /** What `there` answers for the resource that is referred to, or `absent` when nothing is. */
  const referred =
    (there: Endpoint, absent: Endpoint): Endpoint =>
    (request: RestRequest) => {
      const id = referredId[referrer](admin, request.params["key"] ?? "");
      if (!id.ok) return problemAnswer(referrer, id.problems);
      return id.value === null ? absent(request) : there({ ...request, params: { key: id.value } });
    };
  const notFound = (): Answer => notFoundAnswer;
  return {
    GET: referred(endpoints.get, notFound),
    PUT: referred(endpoints.replace, createFor),
    PATCH: referred(endpoints.update, notFound),
    DELETE: referred(() => messageAnswer(405, "Method not allowed", { Allow: referredMethods }), notFound),
  };
}

const referredMethods = "GET, HEAD, OPTIONS, PATCH, PUT";

/** The id in a field that is a reference; null where it is not set. */
function idOf<F extends string>(
  found: Checked<{ readonly [name in F]?: { readonly id: string } | undefined }>,
  field: F,
): Checked<string | null> {
  return found.ok ? { ok: true, value: found.value[field]?.id ?? null } : found;
}
