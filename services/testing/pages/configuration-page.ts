import { CLI_SETTINGS } from "../../cli/settings.ts";
import { CONTROL_PLANE_SETTINGS } from "../../control-plane/config.ts";
import type { Setting } from "../../process/read-settings.ts";
import { OWN_UP_SETTINGS } from "../../up/config.ts";
import { WORKER_SETTINGS } from "../../worker/config.ts";

type Table = Record<string, Setting<unknown>>;

const INTRODUCTION = `# Configuration

<!-- Made by \`npm run docs:generate\` from the tables of settings in services/; a test holds it fresh. -->

Every part reads its settings in one place and complains about all of them at once. A setting is looked for in this order:

1. its flag: \`--lease-seconds 30\` for \`RITMO_LEASE_SECONDS\`;
2. the file that \`NAME_FILE\` names: \`RITMO_DATABASE_URL_FILE=/run/secrets/database\`, for values that must not stand in an environment;
3. the environment;
4. the default.

\`ritmo config\` shows what the command line uses and where each value comes from; \`ritmo server config\`, \`ritmo worker config\` and
\`ritmo up config\` do so for the parts. Secret values are shown as \`***\`.
`;

const CLOSE = `## Traces

OpenTelemetry's own variables count as they are (\`OTEL_EXPORTER_OTLP_ENDPOINT\` and the rest, see
[its list](https://opentelemetry.io/docs/languages/sdk-configuration/)). Without an endpoint nothing is sent.
`;

/** The text of docs/configuration.md, made from the tables by which the settings are read. */
export function configurationPage(): string {
  return [
    INTRODUCTION,
    section(
      "Everything on this machine: `npm start`, `ritmo up`",
      "It takes these, those of `ritmo server`, and of `ritmo worker` the labels, slots, executors, what steps get of its environment, and limits of disk.",
      OWN_UP_SETTINGS,
    ),
    section(
      "Control plane: `ritmo server`",
      "Replicas share the database and the object store, and need the same settings.",
      CONTROL_PLANE_SETTINGS,
    ),
    section("Worker: `ritmo worker`", "", WORKER_SETTINGS),
    section("Command line: `ritmo`", "Its flags are named the same: `--server`, `--token`, `--context`.", CLI_SETTINGS),
    CLOSE,
  ].join("\n");
}

function section(title: string, about: string, table: Table): string {
  const rows = Object.values(table).map(
    (setting) => `| \`${setting.name}\` | ${shownDefault(setting)} | ${escapeCell(setting.help)} |`,
  );
  return [
    `## ${title}`,
    "",
    ...(about ? [about, ""] : []),
    "| Setting | Default | What it is |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function shownDefault({ fallback, shownDefault }: Setting<unknown>): string {
  const text = shownDefault ?? String(fallback ?? "");
  if (text === "") return "–";
  // A default in words is no value to type.
  return / /.test(text) ? escapeCell(text) : `\`${escapeCell(text)}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/</g, "&lt;");
}
