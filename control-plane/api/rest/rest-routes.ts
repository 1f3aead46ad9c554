import type { Admin } from "../../admin/resource-admin.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { type DrainFace, drainingRest } from "./drain-target-rest.ts";
import { pageAnswer, parseListQuery } from "./list-query.ts";
import { referredRest } from "./referred-rest.ts";
import { type QuarantineFace, type ResourceEndpoints, resourceRest } from "./resource-rest.ts";
import type { Answer, Endpoint, RestRequest } from "./rest-answer.ts";

export type RestMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** What one path answers, by method. HEAD and OPTIONS follow from these. */
export type RestRoute = { readonly [M in RestMethod]?: Endpoint };

/** Every path of the entities; `:key` and `:parent` are ids or names. */
export function resourceRoutes(
  admin: Admin,
  fleet: Fleet,
  clock: DrainFace["clock"] & QuarantineFace["clock"],
  quarantines: QuarantineFace["quarantines"],
): Readonly<Record<string, RestRoute>> {
  const quarantine: QuarantineFace = { quarantines, clock };
  const upstreams = resourceRest("upstream", admin, fleet, quarantine);
  const targets = resourceRest("target", admin, fleet, quarantine);
  const services = resourceRest("service", admin, fleet, quarantine);
  const routes = resourceRest("route", admin, fleet, quarantine);
  const certificates = resourceRest("certificate", admin, fleet, quarantine);
  const snis = resourceRest("sni", admin, fleet, quarantine);
  const caCertificates = resourceRest("ca_certificate", admin, fleet, quarantine);
  return {
    "/upstreams": collection(upstreams),
    "/upstreams/:key": member(upstreams),
    "/upstreams/:parent/targets": collection(targets),
    // Kong's list without health; a target of that name cannot exist, since a target has a port.
    "/upstreams/:parent/targets/all": { GET: targets.list },
    "/upstreams/:parent/targets/:key": {
      ...member(targets),
      PUT: drainingRest({ admin, fleet, clock }, "update", targets.replace),
      PATCH: drainingRest({ admin, fleet, clock }, "update", targets.update),
      DELETE: drainingRest({ admin, fleet, clock }, "remove", targets.remove),
    },
    "/upstreams/:key/client_certificate": referredRest(admin, "upstream", certificates),
    "/services": collection(services),
    "/services/:key": member(services),
    "/services/:key/client_certificate": referredRest(admin, "service", certificates),
    "/services/:parent/routes": collection(routes),
    "/services/:parent/routes/:key": member(routes),
    "/routes": collection(routes),
    "/routes/:key": member(routes),
    "/routes/:key/service": referredRest(admin, "route", services),
    "/certificates": collection(certificates),
    "/certificates/:key": member(certificates),
    "/certificates/:parent/snis": collection(snis),
    "/certificates/:parent/snis/:key": member(snis),
    "/certificates/:parent/services": collection(services),
    "/certificates/:parent/services/:key": member(services),
    "/certificates/:parent/upstreams": collection(upstreams),
    "/certificates/:parent/upstreams/:key": member(upstreams),
    "/snis": collection(snis),
    "/snis/:key": member(snis),
    "/ca_certificates": collection(caCertificates),
    "/ca_certificates/:key": member(caCertificates),
    // Not ours, and never will be on this road; decK stops when it cannot list them.
    "/plugins": { GET: emptyList },
    "/consumers": { GET: emptyList },
  };
}

function collection(endpoints: ResourceEndpoints): RestRoute {
  return { GET: endpoints.list, POST: endpoints.create };
}

function member(endpoints: ResourceEndpoints): RestRoute {
  return { GET: endpoints.get, PUT: endpoints.replace, PATCH: endpoints.update, DELETE: endpoints.remove };
}

function emptyList(request: RestRequest): Answer {
  const parsed = parseListQuery(request.query);
  return parsed.ok ? pageAnswer(request.path, request.query, []) : parsed.answer;
}

/** The methods of a path as `Allow` lists them, sorted. */
export function allowedMethods(route: RestRoute): string {
  const methods = [...Object.keys(route), "OPTIONS"];
  if (route.GET !== undefined) methods.push("HEAD");
  return methods.sort().join(", ");
}
