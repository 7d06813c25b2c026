import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient, type Transport } from "@connectrpc/connect";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { makeSample } from "../sample/make-sample.ts";

/** Into an empty database: a job `sample` whose repository is made here, run once. Answers whether it was loaded. */
export async function loadSample(dataDir: string, transport: Transport): Promise<boolean> {
  const jobs = createClient(JobService, transport);
  const builds = createClient(BuildService, transport);
  const [{ jobs: someJobs }, { builds: someBuilds }] = await Promise.all([
    jobs.listJobs({ pageSize: 1 }),
    builds.listBuilds({ pageSize: 1 }),
  ]);
  if (someJobs.length > 0 || someBuilds.length > 0) return false;
  const path = join(dataDir, "sample.git");
  if (!existsSync(path)) makeSample(path);
  const job = { name: "sample", repository: pathToFileURL(path).href, description: "A first build to look at" };
  await jobs.createJob({ requestId: randomUUID(), job });
  await builds.createBuild({ requestId: randomUUID(), job: "sample", source: { case: "branch", value: "main" } });
  return true;
}
