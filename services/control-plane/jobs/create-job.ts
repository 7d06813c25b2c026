import { newId } from "../../process/new-id.ts";
import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import type { JobFields } from "./check-job.ts";

/** Adds a job and answers its id. ALREADY_EXISTS JOB_EXISTS when the name is taken. */
export async function createJob(tx: Sql, orgId: string, fields: JobFields): Promise<string> {
  const [row] = await tx<{ id: string }[]>`
    INSERT INTO jobs ${tx({ id: newId("job"), org_id: orgId, ...fields })}
    ON CONFLICT DO NOTHING RETURNING id`;
  if (!row) throw jobExists(fields.name);
  return row.id;
}

export function jobExists(name: string): Refusal {
  return new Refusal("already_exists", "JOB_EXISTS", `a job named ${name} exists; choose another name`);
}
