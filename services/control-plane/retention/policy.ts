import type { Config } from "../config.ts";

/** How much is kept; 0 in a field means that nothing goes by that rule. */
export interface Policy {
  /** Builds that ended longer ago go. */
  days: number;
  /** So many builds of a job stay, the newest ones. */
  builds: number;
  /** What a job's newest builds keep up to this stays. */
  bytes: number;
}

/** What a job or a caller says of it; what is left out is as the server's settings say. */
export type PolicyPart = { [field in keyof Policy]?: number | null | undefined };

export type RetentionConfig = Pick<Config, "retentionDays" | "retentionBuilds" | "retentionJobGib" | "retentionGib">;

const GIB = 1024 ** 3;

/** What holds for a job: each field from the first that says it. */
export function policyOf(config: RetentionConfig, ...parts: PolicyPart[]): Policy {
  const { retentionDays, retentionBuilds, retentionJobGib } = config;
  const defaults: Policy = { days: retentionDays, builds: retentionBuilds, bytes: retentionJobGib * GIB };
  const pick = (field: keyof Policy) => parts.find((part) => (part[field] ?? null) !== null)?.[field];
  return {
    days: pick("days") ?? defaults.days,
    builds: pick("builds") ?? defaults.builds,
    bytes: pick("bytes") ?? defaults.bytes,
  };
}

/** What all jobs of an organization may keep together; 0: no bound. */
export function organizationBytes({ retentionGib }: RetentionConfig): number {
  return retentionGib * GIB;
}
