/** Lines of cells under each other, without blanks at their ends. @param rows with as many cells each */
export function textTable(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
}

/** A text of somebody else's on one line, without what a terminal would act on; cut where it is longer. */
export function oneLine(text: string, maxLength: number): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ");
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 3)}...`;
}
