/** Where a control plane has its admin port unless it is told otherwise. */
export const adminDefault = "http://localhost:8001";

/** What is wrong with the URL of an admin port, in one line; null where nothing is. */
export function adminUrlProblem(url: string): string | null {
  const protocol = URL.canParse(url) ? new URL(url).protocol : "";
  if (protocol === "http:" || protocol === "https:") return null;
  return `--admin: ${JSON.stringify(url)} is not an http URL such as ${adminDefault}`;
}
