import { openMetrics } from "../../control-plane/metrics.ts";

const INTRODUCTION = `# Metrics

<!-- Made by \`npm run docs:generate\` from services/control-plane/metrics.ts; a test holds it fresh. -->

\`RITMO_METRICS_LISTEN\` serves three addresses without a token, so it need not be reachable from outside:

| Address | Answers |
| --- | --- |
| \`/metrics\` | the table below, in Prometheus' text format |
| \`/healthz\` | 200 as long as the process answers |
| \`/readyz\` | 200, or 503 and, as JSON, which dependency is not ready and why |

Counters and histograms are of one replica: sum them over all. Queue and workers are read from the database at each scrape, so that every replica
tells the same: take the maximum. While the database is away they have no value.

| Name | Kind | Labels | What it is |
| --- | --- | --- | --- |
`;

const CLOSE = `
Besides these there are prom-client's default metrics of the process (\`process_*\`, \`nodejs_*\`): CPU, memory, event loop, garbage collection.

Codes of \`ritmo_rpc_handled_total\` are gRPC's in lower case, \`ok\` for success. What deserves an alarm first:
\`ritmo_queue_oldest_seconds\` that grows while \`ritmo_worker_slots{state="free"}\` is not 0 (nobody has the labels), and
\`ritmo_rpc_handled_total{code="internal"}\` at all (our fault, never a caller's).
`;

/** The text of docs/metrics.md, made from the registry. */
export function metricsPage(): string {
  const { registry } = openMetrics({ processMetrics: false });
  const rows = registry.getMetricsAsArray().map((metric) => {
    const { name, help, type, labelNames } = metric as unknown as Described;
    const labels = labelNames.map((label) => `\`${label}\``).join(", ") || "–";
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
  });
  return `${INTRODUCTION}${rows.join("\n")}\n${CLOSE}`;
}

interface Described {
  name: string;
  help: string;
  type: string;
  labelNames: string[];
}
