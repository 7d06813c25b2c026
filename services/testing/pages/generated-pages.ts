import { cliPage } from "./cli-page.ts";
import { configurationPage } from "./configuration-page.ts";
import { metricsPage } from "./metrics-page.ts";
import { pipelinePage } from "./pipeline-page.ts";

/** Every page that is made from the code, by its path in the checkout. */
export const GENERATED_PAGES: Record<string, () => string> = {
  "docs/cli.md": cliPage,
  "docs/configuration.md": configurationPage,
  "docs/metrics.md": metricsPage,
  "docs/pipeline.md": pipelinePage,
};
