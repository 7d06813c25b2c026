/** A row of the table: what was measured, beside its limit in the same run. */
export interface Row {
  measure: string;
  reached: string;
  /** The same without what Ritmo adds, measured in this run. */
  limit: string;
  limitIs: string;
  ratio: string;
}

export function percentile(values: number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? Number.NaN;
}

/** Milliseconds of a distribution, as `p50 4.1 ms, p99 12 ms`. */
export function spread(valuesMs: number[]): string {
  return `p50 ${round(percentile(valuesMs, 50))} ms, p99 ${round(percentile(valuesMs, 99))} ms`;
}

export function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2).replace(/\.0$/, "");
}

/** The table in Markdown, as docs/performance.md shows it. */
export function printTable(rows: Row[]): string {
  const cells = rows.map((r) => [r.measure, r.reached, `${r.limit} (${r.limitIs})`, r.ratio]);
  return [["Measure", "Reached", "Limit in the same run", "Ratio"], ["---", "---", "---", "---"], ...cells]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}
