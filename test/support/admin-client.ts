/** One answer of the REST face. */
export interface AdminAnswer {
  readonly status: number;
  readonly headers: Headers;
  // Tests read fields of many shapes from it; each asserts what it needs.
  // biome-ignore lint/suspicious/noExplicitAny: the shape differs per endpoint and is what the tests assert
  readonly body: any;
}

/** Sends one request to the REST face: an object goes as JSON, a string as a form. */
export async function admin(
  baseUrl: string,
  method: string,
  path: string,
  body?: Record<string, unknown> | string,
  more: Readonly<Record<string, string>> = {},
): Promise<AdminAnswer> {
  const headers: Record<string, string> = { ...more };
  if (body !== undefined)
    headers["content-type"] = typeof body === "string" ? "application/x-www-form-urlencoded" : "application/json";
  const answer = await fetch(baseUrl + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === "" ? null : JSON.parse(text) };
}

/** The same, and an error unless the answer is 2xx: for the set-up of a test. */
export async function adminOk(
  baseUrl: string,
  method: string,
  path: string,
  body?: Record<string, unknown> | string,
): Promise<AdminAnswer> {
  const answer = await admin(baseUrl, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

/** Creates an upstream with targets, a service on it and a route for a path. */
export async function createBalancedRoute(
  baseUrl: string,
  options: { name: string; path: string; targets: readonly string[]; query?: string },
): Promise<void> {
  const { name, path, targets } = options;
  const query = options.query ?? "?wait=applied&timeout=10s";
  await adminOk(baseUrl, "POST", `/upstreams${query}`, { name });
  for (const target of targets) await adminOk(baseUrl, "POST", `/upstreams/${name}/targets${query}`, { target });
  await adminOk(baseUrl, "POST", `/services${query}`, { name: `${name}-service`, host: name });
  await adminOk(baseUrl, "POST", `/services/${name}-service/routes${query}`, { name: `${name}-route`, paths: [path] });
}

/** What the control plane shows of its data planes, one row for each. */
export async function dataPlaneRows({ adminUrl }: { readonly adminUrl: string }): Promise<AdminAnswer["body"][]> {
  return (await adminOk(adminUrl, "GET", "/clustering/data-planes")).body.data;
}
