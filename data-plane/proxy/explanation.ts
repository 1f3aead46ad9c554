/** A request that is asked about and never sent; nothing of it is checked but that it can be written as a head. */
export interface ExplainQuestion {
  readonly scheme: "http" | "https";
  readonly method: string;
  /** As a client sends it, maybe with a port. */
  readonly host: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: readonly HeaderText[];
  /** Of the connection's other end. */
  readonly clientAddress: string;
  /** Lower case; "" for none. */
  readonly sni: string;
}

export interface HeaderText {
  readonly name: string;
  readonly value: string;
}

/**
 * What would become of it: the fields of penstock.admin.v1.ExplainResponse (explain.proto says what they mean), in its
 * JSON form but for the endpoints, which the main thread knows more of. Absent is what a request did not come to.
 */
export interface Explanation {
  readonly publication: number;
  readonly revision: number;
  readonly request?: ExplainedRequest;
  readonly outcome: ExplainedOutcome;
  readonly route?: ExplainedRoute;
  readonly otherRoutes: readonly OtherRoute[];
  readonly moreRouteCount: number;
  readonly service?: ExplainedService;
  readonly pool?: ExplainedPool;
  readonly retry?: ExplainedRetry;
  readonly endpoints: readonly ExplainedEndpoint[];
  readonly moreEndpointCount: number;
  readonly picked: string;
  readonly rewritten?: RewrittenRequest;
  readonly notes: readonly string[];
}

export interface ExplainedRequest {
  readonly scheme: string;
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly query: string;
  readonly clientAddress: string;
  readonly sni: string;
}

export interface ExplainedOutcome {
  readonly kind: "KIND_PROXIED" | "KIND_ANSWERED" | "KIND_QUEUED";
  readonly status: number;
  readonly error: string;
  readonly message: string;
  readonly detail: string;
  readonly location: string;
}

export interface ExplainedRoute {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly matched: string;
  readonly priority: {
    readonly attributeCount: number;
    readonly hasPlainHosts: boolean;
    readonly headerCount: number;
    readonly isRegex: boolean;
    readonly regexPriority: number;
    readonly pathLength: number;
  };
}

export interface OtherRoute {
  readonly id: string;
  readonly name: string;
  readonly reasons: readonly string[];
  readonly matches: boolean;
}

export interface ExplainedService {
  readonly id: string;
  readonly name: string;
  readonly protocol: string;
  readonly connectTimeout: string;
  readonly writeTimeout: string;
  readonly readTimeout: string;
}

export interface ExplainedPool {
  /** For the main thread: "upstream:ID" or "host:HOST:PORT". */
  readonly key: string;
  readonly name: string;
  readonly isUpstream: boolean;
  readonly algorithm: string;
  readonly hashOn: string;
  readonly hashValue: string;
  readonly hashIsMissing: boolean;
  readonly isPanic: boolean;
  readonly emptyBecause: string;
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly queued: number;
  readonly queueSize: number;
}

export interface ExplainedRetry {
  readonly retries: number;
  readonly mayRepeat: boolean;
  readonly statuses: readonly number[];
  readonly perTryTimeout?: string;
  readonly totalTimeout?: string;
}

/** What a worker knows of an endpoint. */
export interface ExplainedEndpoint {
  readonly row: number;
  readonly address: string;
  readonly weight: number;
  readonly priority: number;
  readonly isLocal: boolean;
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly ramp: number;
  readonly isIn: boolean;
  readonly share: number;
  readonly picked: boolean;
  readonly next: boolean;
  readonly role: string;
}

export interface RewrittenRequest {
  readonly address: string;
  readonly isSecure: boolean;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: readonly HeaderText[];
}
