export const adminDefault = "http://localhost:8001";

/** What is wrong with the URL of an admin port, or null. */
export function adminUrlProblem(text: string): string | null {
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  if (protocol === "http:" || protocol === "https:") return null;
  return `--admin: ${JSON.stringify(text)} is not an http URL such as ${adminDefault}`;
}
