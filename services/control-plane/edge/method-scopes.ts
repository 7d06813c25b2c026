import type { DescMethod } from "@bufbuild/protobuf";
import type { Scope } from "../identity/caller.ts";

/** `public` needs no token, `any` needs one of any scope; each other scope includes the ones before it. */
export type Need = "public" | "any" | Scope;

/**
 * What a caller of each method needs. A method that is not listed is refused, and a test holds that every method of
 * every public service is.
 */
export const METHOD_SCOPES: Record<string, Need> = {
  "grpc.health.v1.Health/Check": "public",
  "grpc.health.v1.Health/Watch": "public",
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "public",
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "public",

  "ritmo.artifact.v1.ArtifactService/ListArtifacts": "read",
  "ritmo.artifact.v1.ArtifactService/GetArtifact": "read",
  "ritmo.artifact.v1.ArtifactService/GetDownloadUrl": "read",
  "ritmo.artifact.v1.ArtifactService/DownloadArtifact": "read",

  "ritmo.build.v1.BuildService/CreateBuild": "write",
  "ritmo.build.v1.BuildService/GetBuild": "read",
  "ritmo.build.v1.BuildService/ListBuilds": "read",
  "ritmo.build.v1.BuildService/CancelBuild": "write",
  "ritmo.build.v1.BuildService/RetryBuild": "write",
  "ritmo.build.v1.BuildService/PinBuild": "write",
  "ritmo.build.v1.BuildService/UnpinBuild": "write",
  "ritmo.build.v1.BuildService/PreviewRetention": "read",
  "ritmo.build.v1.BuildService/GetStep": "read",
  "ritmo.build.v1.BuildService/ListSteps": "read",
  "ritmo.build.v1.BuildService/ExplainStep": "read",
  "ritmo.build.v1.BuildService/ListAttempts": "read",

  "ritmo.event.v1.EventService/Watch": "read",

  "ritmo.fleet.v1.FleetService/ListWorkers": "read",
  "ritmo.fleet.v1.FleetService/GetWorker": "read",
  "ritmo.fleet.v1.FleetService/CreateWorker": "admin",
  "ritmo.fleet.v1.FleetService/DrainWorker": "write",
  "ritmo.fleet.v1.FleetService/ResumeWorker": "write",
  "ritmo.fleet.v1.FleetService/DeleteWorker": "admin",

  "ritmo.identity.v1.IdentityService/WhoAmI": "any",
  "ritmo.identity.v1.IdentityService/CreateToken": "admin",
  "ritmo.identity.v1.IdentityService/ListTokens": "admin",
  "ritmo.identity.v1.IdentityService/RevokeToken": "admin",
  "ritmo.identity.v1.IdentityService/ExchangeSetupCode": "public",

  "ritmo.job.v1.JobService/CreateJob": "write",
  "ritmo.job.v1.JobService/GetJob": "read",
  "ritmo.job.v1.JobService/ListJobs": "read",
  "ritmo.job.v1.JobService/UpdateJob": "write",
  "ritmo.job.v1.JobService/DeleteJob": "write",

  "ritmo.log.v1.LogService/GetLog": "read",
  "ritmo.log.v1.LogService/ReadLog": "read",
  "ritmo.log.v1.LogService/FollowLog": "read",
  "ritmo.log.v1.LogService/SearchLog": "read",

  "ritmo.pipeline.v1.PipelineService/ValidatePipeline": "read",
  "ritmo.pipeline.v1.PipelineService/GetSchema": "read",
};

const RANK: Record<Scope, number> = { read: 1, write: 2, admin: 3 };

/** `ritmo.job.v1.JobService/GetJob`. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** What the method needs; undefined when it is not listed. */
export function needOf(method: DescMethod): Need | undefined {
  return METHOD_SCOPES[methodName(method)];
}

export function allows(has: Scope, need: Need): boolean {
  return need === "public" || need === "any" || RANK[has] >= RANK[need];
}
