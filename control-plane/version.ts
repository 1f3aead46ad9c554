import { readFileSync } from "node:fs";

/** The version in package.json, which lies one folder above the sources and two above what is compiled of them. */
export function readVersion(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
      if (name === "penstock") return version;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    }
  }
  return "0.0.0";
}
