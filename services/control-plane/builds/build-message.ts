import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Build, BuildSchema, StepCountsSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { DiagnosticSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { BUILD_STATES, type BuildStateName } from "./state-names.ts";

/** A build's row with its job's name and how many of its steps are in which state. */
export interface BuildRow {
  id: string;
  org_id: string;
  job_id: string;
  job: string;
  number: number;
  state: BuildStateName;
  repository: string;
  source_kind: "branch" | "tag" | "commit";
  source_name: string;
  commit: string | null;
  author_name: string;
  author_email: string;
  message: string;
  created_by: string;
  reason: string;
  cause: string;
  diagnostics: JsonValue;
  cancel_requested_at: Date | null;
  pinned_at: Date | null;
  revision: number;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  total: number;
  waiting: number;
  queued: number;
  active: number;
  succeeded: number;
  failed: number;
  not_run: number;
}

const SOURCE_CASES = { branch: "branch", tag: "tag", commit: "commitOnly" } as const;

/** The message of a build; `waits` is the cause of one that runs and that no worker can go on with. */
export function buildMessage(row: BuildRow, baseUrl: string, waits: string | undefined): Build {
  const { id, job, number, repository, message, reason } = row;
  return create(BuildSchema, {
    id,
    job,
    repository,
    message,
    jobId: row.job_id,
    name: `${job}#${number}`,
    number: BigInt(number),
    state: BUILD_STATES[row.state],
    source: { case: SOURCE_CASES[row.source_kind], value: row.source_name },
    commit: row.commit ?? "",
    authorName: row.author_name,
    authorEmail: row.author_email,
    createdBy: row.created_by,
    cause: waits ?? row.cause,
    reason: waits === undefined ? reason : "NO_WORKER",
    diagnostics: Array.isArray(row.diagnostics)
      ? row.diagnostics.map((found) => fromJson(DiagnosticSchema, found, { ignoreUnknownFields: true }))
      : [],
    steps: counts(row),
    revision: BigInt(row.revision),
    pinned: row.pinned_at !== null,
    url: `${baseUrl}/jobs/${job}/builds/${number}`,
    ...optionalTimes({
      createdAt: row.created_at,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
      cancelRequestedAt: row.cancel_requested_at,
    }),
  });
}

function counts({ total, waiting, queued, active, succeeded, failed, not_run: notRun }: BuildRow) {
  return create(StepCountsSchema, { total, waiting, queued, active, succeeded, failed, notRun });
}

/** Those of the times that are known, as the contract writes them. */
export function optionalTimes<K extends string>(times: Record<K, Date | null>) {
  const known = Object.entries<Date | null>(times).filter((entry): entry is [K, Date] => entry[1] !== null);
  return Object.fromEntries(known.map(([name, at]) => [name, timestampFromDate(at)])) as {
    [name in K]?: ReturnType<typeof timestampFromDate>;
  };
}
