/** A table of text: the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[], options: { ruleAfter?: number } = {}): string {
  const widths = rows.reduce<number[]>((w, row) => row.map((cell, i) => Math.max(w[i] ?? 0, cell.length)), []);
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('   ')
      .trimEnd(),
  );
  if (options.ruleAfter !== undefined)
    lines.splice(options.ruleAfter, 0, '─'.repeat(widths.reduce((sum, w) => sum + w + 3, -3)));
  return `${lines.join('\n')}\n`;
}
