import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { openMetrics } from "../control-plane/metrics.ts";

const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), "utf8");

test("the alerts speak of metrics that exist, with labels that they have", async () => {
  const known = await openMetrics({ processMetrics: false }).registry.getMetricsAsJSON();
  const { groups } = parse(read("prometheus/alerts.yml")) as { groups: { rules: { expr: string }[] }[] };
  const used = groups.flatMap((group) => group.rules).flatMap(({ expr }) => expr.match(/ritmo_[a-z_]+/g) ?? []);
  expect(used.length).toBeGreaterThan(4);
  for (const name of used) expect(known.map((metric) => metric.name)).toContain(name);
});

test.each(["server", "worker"])("the unit of the %s starts what the command line starts", (part) => {
  expect(read(`systemd/ritmo-${part}.service`)).toMatch(
    new RegExp(`^ExecStart=\\S*/node_modules/.bin/ritmo ${part}$`, "m"),
  );
});
