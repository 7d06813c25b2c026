import { CONTROL_PLANE_SETTINGS } from "../control-plane/config.ts";
import type { Setting, Settings } from "../process/read-settings.ts";
import { boolean, integer, path } from "../process/setting-kinds.ts";
import { WORKER_SETTINGS } from "../worker/config.ts";

/** What `ritmo up` (`npm start`) adds to the settings of the parts, or sets otherwise than they do. */
export const OWN_UP_SETTINGS = {
  dataDir: path("RITMO_DATA_DIR", ".ritmo", {
    help: "Everything that `npm start` keeps: PostgreSQL's data, logs, artifacts, workspaces, tokens.",
  }),
  blobDir: { ...CONTROL_PLANE_SETTINGS.blobDir, shownDefault: "blobs in RITMO_DATA_DIR" },
  allowLocalRepositories: boolean("RITMO_ALLOW_LOCAL_REPOSITORIES", true, {
    help: CONTROL_PLANE_SETTINGS.allowLocalRepositories.help,
  }),
  drainSeconds: integer(
    "RITMO_DRAIN_SECONDS",
    3,
    { min: 0, max: 604_800 },
    { help: "After Ctrl-C, how long steps in hand may go on before they are stopped." },
  ),
};

/** Every setting of `ritmo up`: those of the parts that it starts, and its own. */
export const UP_SETTINGS = {
  dataDir: OWN_UP_SETTINGS.dataDir,
  ...CONTROL_PLANE_SETTINGS,
  blobDir: OWN_UP_SETTINGS.blobDir,
  allowLocalRepositories: OWN_UP_SETTINGS.allowLocalRepositories,
  labels: WORKER_SETTINGS.labels,
  slots: WORKER_SETTINGS.slots,
  executors: WORKER_SETTINGS.executors,
  stepEnv: WORKER_SETTINGS.stepEnv,
  registryCredentials: WORKER_SETTINGS.registryCredentials,
  imagePull: WORKER_SETTINGS.imagePull,
  engineSeconds: WORKER_SETTINGS.engineSeconds,
  spoolMaxBytes: WORKER_SETTINGS.spoolMaxBytes,
  diskFullSeconds: WORKER_SETTINGS.diskFullSeconds,
  drainSeconds: OWN_UP_SETTINGS.drainSeconds,
};

export type UpConfig = Settings<typeof UP_SETTINGS>;

type Env = Record<string, string | undefined>;

/** The environment for a part: nothing of Ritmo's but the part's own settings, and what is set for it here. */
export function environmentFor(table: Record<string, Setting<unknown>>, given: Env, set: Env): Env {
  const own = new Set(Object.values(table).flatMap(({ name }) => [name, `${name}_FILE`]));
  const kept = Object.entries(given).filter(([name]) => !name.startsWith("RITMO_") || own.has(name));
  const env: Env = { ...Object.fromEntries(kept) };
  for (const [name, value] of Object.entries(set)) {
    if (value === undefined) continue;
    delete env[`${name}_FILE`];
    env[name] = value;
  }
  return env;
}
