import type { Job } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { type FieldViolation, Refusal } from "../../process/refusal.ts";
import { readPipeline } from "../pipeline/read-pipeline.ts";
import { checkRepository } from "./check-repository.ts";

/** What of a job people set, as its row has it. */
export interface JobFields {
  name: string;
  repository: string;
  default_branch: string;
  description: string;
  pipeline_path: string | null;
  pipeline_text: string | null;
  paused: boolean;
  keep_days: number | null;
  keep_builds: number | null;
  keep_bytes: number | null;
}

export interface JobRules {
  allowLocal: boolean;
}

export const DEFAULT_PIPELINE_PATH = ".ritmo.yaml";
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const MAX_DESCRIPTION = 2_000;
const MAX_PATH = 500;
const MAX_VIOLATIONS = 50;
/** The largest rules of retention. */
export const MAX_KEEP = { days: 36_500, builds: 1_000_000_000, bytes: Number.MAX_SAFE_INTEGER };

/** The fields of a new job, with what is left empty filled in. Refuses with every fault at once. */
export function checkNewJob(job: Job, rules: JobRules): JobFields {
  const text = job.pipeline.case === "pipelineText" ? job.pipeline.value : null;
  const path = job.pipeline.case === "pipelinePath" ? job.pipeline.value : "";
  const fields: JobFields = {
    name: job.name,
    repository: job.repository,
    default_branch: job.defaultBranch || "main",
    description: job.description,
    pipeline_path: text === null ? path || DEFAULT_PIPELINE_PATH : null,
    pipeline_text: text,
    paused: job.paused,
    ...retentionFields(job),
  };
  refuseFaults(jobFaults(fields, rules));
  return fields;
}

/** What a job says of how long its builds are kept; null: as the server's settings say. */
export function retentionFields({ retention }: Job): Pick<JobFields, "keep_days" | "keep_builds" | "keep_bytes"> {
  const { days, builds, bytes } = retention ?? {};
  return {
    keep_days: days ?? null,
    keep_builds: builds ?? null,
    keep_bytes: bytes === undefined ? null : Number(bytes),
  };
}

/** Throws INVALID_ARGUMENT with all faults, unless there are none. */
export function refuseFaults(faults: FieldViolation[]): void {
  const [first] = faults;
  if (!first) return;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  const reason = faults.every((fault) => fault.field === "job.pipeline_text") ? "PIPELINE_INVALID" : "FIELD_INVALID";
  throw new Refusal("invalid_argument", reason, `${first.field}: ${first.description}${more}`, {
    violations: faults.slice(0, MAX_VIOLATIONS),
  });
}

/** What is wrong with those fields that are given. */
export function jobFaults(fields: Partial<JobFields>, rules: JobRules): FieldViolation[] {
  const faults: FieldViolation[] = [];
  const say = (field: string, description: string | undefined) => {
    if (description !== undefined) faults.push({ field: `job.${field}`, description });
  };
  const { name, repository, default_branch: branch, description, pipeline_path: path, pipeline_text: text } = fields;
  if (name !== undefined && !NAME.test(name))
    say("name", "is no name: a lower-case letter or digit first, then up to 62 of those and dashes");
  // A pipeline that is kept in the job may need no repository at all; who changes a job looks at both together.
  if (repository === "" && typeof path === "string")
    say("repository", "is empty, and the pipeline is to be read from it");
  if (repository) say("repository", checkRepository(repository, rules));
  if (branch !== undefined) say("default_branch", checkBranch(branch));
  if (description !== undefined && (description.length > MAX_DESCRIPTION || /[\0\p{Cs}]/u.test(description)))
    say("description", `is longer than ${MAX_DESCRIPTION} characters or no text`);
  if ((fields.keep_days ?? 0) > MAX_KEEP.days) say("retention.days", `is over ${MAX_KEEP.days}`);
  if ((fields.keep_builds ?? 0) > MAX_KEEP.builds) say("retention.builds", `is over ${MAX_KEEP.builds}`);
  if ((fields.keep_bytes ?? 0) > MAX_KEEP.bytes) say("retention.bytes", `is over ${MAX_KEEP.bytes}`);
  if (typeof path === "string") say("pipeline_path", checkPath(path));
  if (typeof text === "string") for (const fault of pipelineFaults(text)) say("pipeline_text", fault);
  return faults;
}

// What git-check-ref-format(1) refuses.
function checkBranch(branch: string): string | undefined {
  const bad = /[\s\p{C}~^:?*[\\]|\.\.|@\{|^[-/.]|[/.]$|\/[/.]|\.lock(\/|$)|^@$/u;
  return branch === "" || branch.length > 255 || bad.test(branch) ? "can't be the name of a branch" : undefined;
}

function checkPath(path: string): string | undefined {
  if (path.length > MAX_PATH || /[\p{C}\\]/u.test(path))
    return "is too long, or holds a backslash or control character";
  const inside = path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  return inside ? undefined : "is not a path of a file within the repository, like .ritmo.yaml or ci/build.yaml";
}

function pipelineFaults(text: string): string[] {
  return readPipeline(text, "pipeline")
    .diagnostics.filter((found) => found.severity === Severity.ERROR)
    .map(({ line, column, message, fix }) => `${line}:${column}: ${message}${fix ? ` (${fix})` : ""}`);
}
