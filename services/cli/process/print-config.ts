import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";
import { printTable } from "../print-table.ts";
import { chooseSettings } from "../settings.ts";
import { startProcess } from "./start-process.ts";

/** Prints the settings of the command line with their sources, or has another part print its own. */
export async function printConfig(
  cli: Cli,
  options: { server?: boolean; worker?: boolean },
): Promise<number | undefined> {
  if (options.server && options.worker) throw usage("Give --server or --worker, not both.");
  if (options.server) return startProcess(cli, "control-plane/main.ts", ["config"]);
  if (options.worker) return startProcess(cli, "worker/main.ts", ["config"]);
  const { server, token, context, contextsPath } = chooseSettings(cli);
  await printTable(
    cli.io,
    ["SETTING", "SOURCE", "VALUE"],
    [
      ["RITMO_SERVER", server.source, server.value],
      ["RITMO_TOKEN", token?.source ?? "", token ? "***" : "none: not signed in"],
      ["RITMO_CONTEXT", contextsPath, context ?? "none"],
    ],
  );
  return undefined;
}
