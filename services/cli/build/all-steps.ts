import type { Client } from "@connectrpc/connect";
import type { BuildService, Step } from "@ritmo/contract/ritmo/build/v1/build_pb.js";

/** Every step of a build, in the pipeline's order. */
export async function allSteps(builds: Client<typeof BuildService>, build: string): Promise<Step[]> {
  const steps: Step[] = [];
  let pageToken = "";
  do {
    const page = await builds.listSteps({ build, pageSize: 1000, pageToken });
    steps.push(...page.steps);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return steps;
}
