import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { type ParsedName, parseName } from "./parse-name.ts";
import { nameInvalid, unknownName, wrongKind, wrongName } from "./refuse-name.ts";

export interface JobRef {
  id: string;
  name: string;
}

export interface BuildRef {
  id: string;
  jobId: string;
  job: string;
  number: number;
  /** `job#number`. */
  name: string;
  /** As in the database: `pending`, `running`, … */
  state: string;
}

export interface StepRef {
  id: string;
  key: string;
  /** `job#number/step`. */
  name: string;
  buildId: string;
  state: string;
}

export interface AttemptRef {
  id: string;
  number: number;
  /** `job#number/step@2`. */
  name: string;
  stepId: string;
  stepKey: string;
  buildId: string;
  leaseId: string;
  state: string;
}

export interface WorkerRef {
  id: string;
  name: string;
}

type Named = Exclude<ParsedName, { form: "id" }>;

/**
 * The job that a name, an id or a web address means. Errors: INVALID_ARGUMENT (NAME_INVALID, WRONG_KIND) on the field;
 * NOT_FOUND (JOB_NOT_FOUND), also when it is another organization's or deleted.
 */
export async function resolveJob(sql: Sql, orgId: string, name: string, field = "name"): Promise<JobRef> {
  const parsed = parseName(name);
  if (!parsed) throw nameInvalid(field, "job", name, "hello");
  if (parsed.form === "id" && parsed.prefix !== "job") throw wrongKind(field, "job", parsed.prefix, parsed.id);
  if (parsed.form === "name" && parsed.number !== undefined)
    throw wrongName(field, "job", parsed.step === undefined ? "build" : "step", name, parsed.job);
  const is = parsed.form === "id" ? sql`id = ${parsed.id}` : sql`name = ${parsed.job}`;
  const [row] = await sql<JobRef[]>`SELECT id, name FROM jobs WHERE org_id = ${orgId} AND deleted_at IS NULL AND ${is}`;
  if (!row) throw unknownName("job", name);
  return row;
}

/** The build that `job#number`, an id or a web address means. Errors as of `resolveJob`, with BUILD_NOT_FOUND. */
export async function resolveBuild(sql: Sql, orgId: string, name: string, field = "name"): Promise<BuildRef> {
  const parsed = parseName(name);
  if (!parsed) throw nameInvalid(field, "build", name, "hello#3");
  if (parsed.form === "id" && parsed.prefix !== "bld") throw wrongKind(field, "build", parsed.prefix, parsed.id);
  if (parsed.form !== "id" && parsed.number === undefined)
    throw wrongName(field, "build", "job", name, `add its number, like ${parsed.job}#1`);
  if (parsed.form === "name" && parsed.step !== undefined)
    throw wrongName(field, "build", "step", name, `${parsed.job}#${parsed.number}`);
  const [row] = await sql<BuildRef[]>`
    SELECT b.id, b.job_id AS "jobId", j.name AS job, b.number, j.name || '#' || b.number AS name, b.state
    FROM builds b JOIN jobs j ON j.id = b.job_id
    WHERE b.org_id = ${orgId} AND ${parsed.form === "id" ? sql`b.id = ${parsed.id}` : isBuild(sql, orgId, parsed)}`;
  if (!row) throw unknownName("build", name);
  return row;
}

/** The step that `job#number/step`, an id or a web address means. Errors as of `resolveJob`, with STEP_NOT_FOUND. */
export async function resolveStep(sql: Sql, orgId: string, name: string, field = "name"): Promise<StepRef> {
  const parsed = parseName(name);
  if (!parsed) throw nameInvalid(field, "step", name, "hello#3/test");
  if (parsed.form === "id" && parsed.prefix !== "stp") throw wrongKind(field, "step", parsed.prefix, parsed.id);
  if (parsed.form !== "id") refuseWithoutStep(field, "step", name, parsed);
  if (parsed.form === "name" && parsed.attempt !== undefined)
    throw wrongName(field, "step", "attempt", name, `${parsed.job}#${parsed.number}/${parsed.step}`);
  const row = await findStep(sql, orgId, parsed);
  if (!row) throw unknownName("step", name);
  return row;
}

/**
 * The attempt that `job#number/step@2`, an id or a web address means; the newest one for a step's name or id. Errors
 * as of `resolveJob`, with STEP_NOT_FOUND, ATTEMPT_NOT_FOUND, and NO_ATTEMPT for a step that was never leased.
 */
export async function resolveAttempt(sql: Sql, orgId: string, name: string, field = "name"): Promise<AttemptRef> {
  const parsed = parseName(name);
  if (!parsed) throw nameInvalid(field, "attempt", name, "hello#3/test@2 or hello#3/test");
  if (parsed.form === "id" && parsed.prefix !== "att" && parsed.prefix !== "stp")
    throw wrongKind(field, "attempt", parsed.prefix, parsed.id);
  if (parsed.form === "id" && parsed.prefix === "att")
    return (await findAttempt(sql, orgId, sql`a.id = ${parsed.id}`)) ?? refuse(unknownName("attempt", name));
  if (parsed.form !== "id") refuseWithoutStep(field, "attempt", name, parsed);
  const step = await findStep(sql, orgId, parsed);
  if (!step) throw unknownName("step", name);
  const number = parsed.form === "id" ? undefined : parsed.attempt;
  const which = number === undefined ? sql`` : sql`AND a.number = ${number}`;
  const attempt = await findAttempt(sql, orgId, sql`a.step_id = ${step.id} ${which}`);
  if (attempt) return attempt;
  if (number !== undefined) throw unknownName("attempt", name);
  throw new Refusal("not_found", "NO_ATTEMPT", `${step.name} has no attempt yet: no worker has had it`);
}

/** The worker that a name or an id means. Errors as of `resolveJob`, with WORKER_NOT_FOUND. */
export async function resolveWorker(sql: Sql, orgId: string, name: string, field = "name"): Promise<WorkerRef> {
  const parsed = parseName(name);
  if (!parsed || parsed.form === "address") throw nameInvalid(field, "worker", name, "local");
  if (parsed.form === "id" && parsed.prefix !== "wrk") throw wrongKind(field, "worker", parsed.prefix, parsed.id);
  if (parsed.form === "name" && parsed.number !== undefined)
    throw wrongName(
      field,
      "worker",
      parsed.step === undefined ? "build" : "step",
      name,
      "`ritmo worker list` shows them",
    );
  const is = parsed.form === "id" ? sql`id = ${parsed.id}` : sql`name = ${parsed.job}`;
  const [row] = await sql<WorkerRef[]>`
    SELECT id, name FROM workers WHERE org_id = ${orgId} AND deleted_at IS NULL AND ${is}`;
  if (!row) throw unknownName("worker", name);
  return row;
}

// A name means the job that has it now; the builds of a deleted one stay readable by their ids.
function isBuild(sql: Sql, orgId: string, { job, number }: Named) {
  return sql`b.number = ${number ?? 0} AND b.job_id =
    (SELECT id FROM jobs WHERE org_id = ${orgId} AND name = ${job} AND deleted_at IS NULL)`;
}

function refuseWithoutStep(field: string, wanted: string, text: string, { job, number, step }: Named): void {
  if (number === undefined) throw wrongName(field, wanted, "job", text, `write a step like ${job}#1/STEP`);
  if (step === undefined) throw wrongName(field, wanted, "build", text, `add its step: ${job}#${number}/STEP`);
}

async function findStep(sql: Sql, orgId: string, parsed: ParsedName): Promise<StepRef | undefined> {
  const is =
    parsed.form === "id"
      ? sql`s.id = ${parsed.id}`
      : sql`s.key = ${parsed.step ?? ""} AND ${isBuild(sql, orgId, parsed)}`;
  const [row] = await sql<StepRef[]>`
    SELECT s.id, s.key, j.name || '#' || b.number || '/' || s.key AS name, s.build_id AS "buildId", s.state
    FROM steps s JOIN builds b ON b.id = s.build_id JOIN jobs j ON j.id = b.job_id
    WHERE s.org_id = ${orgId} AND ${is}`;
  return row;
}

async function findAttempt(sql: Sql, orgId: string, is: ReturnType<Sql>): Promise<AttemptRef | undefined> {
  const [row] = await sql<AttemptRef[]>`
    SELECT a.id, a.number, j.name || '#' || b.number || '/' || s.key || '@' || a.number AS name,
      a.step_id AS "stepId", s.key AS "stepKey", a.build_id AS "buildId", a.lease_id AS "leaseId", a.state
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id JOIN jobs j ON j.id = b.job_id
    WHERE a.org_id = ${orgId} AND ${is}
    ORDER BY a.number DESC LIMIT 1`;
  return row;
}

function refuse(refusal: Refusal): never {
  throw refusal;
}
