import { printable } from "./printable.ts";

/** Lines of cells under each other, without blanks at their ends; what a terminal would act on is replaced. @param rows with as many cells each */
export function textTable(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) => printable(row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")).trimEnd());
}
