import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Job, JobBuildSchema, JobSchema, RetentionSchema } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { JobFields } from "./check-job.ts";

/** A job's row and, where there is one, its newest build. */
export interface JobRow extends JobFields {
  id: string;
  revision: number;
  created_at: Date;
  updated_at: Date;
  build_id: string | null;
  build_number: number | null;
  build_state: string | null;
  build_created_at: Date | null;
}

export function jobMessage(row: JobRow): Job {
  const { id, name, repository, description, paused } = row;
  return create(JobSchema, {
    id,
    name,
    repository,
    description,
    paused,
    defaultBranch: row.default_branch,
    pipeline:
      row.pipeline_text === null
        ? { case: "pipelinePath", value: row.pipeline_path ?? "" }
        : { case: "pipelineText", value: row.pipeline_text },
    createdAt: timestampFromDate(row.created_at),
    updatedAt: timestampFromDate(row.updated_at),
    revision: BigInt(row.revision),
    ...retentionOf(row),
    ...(row.build_id === null || row.build_created_at === null
      ? {}
      : {
          lastBuild: create(JobBuildSchema, {
            id: row.build_id,
            number: BigInt(row.build_number ?? 0),
            state: row.build_state ?? "",
            createdAt: timestampFromDate(row.build_created_at),
          }),
        }),
  });
}

function retentionOf({ keep_days: days, keep_builds: builds, keep_bytes: bytes }: JobRow) {
  if (days === null && builds === null && bytes === null) return {};
  return {
    retention: create(RetentionSchema, {
      ...(days === null ? {} : { days }),
      ...(builds === null ? {} : { builds }),
      ...(bytes === null ? {} : { bytes: BigInt(bytes) }),
    }),
  };
}
