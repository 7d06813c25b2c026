import { createRegistry, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { Health } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { PipelineService } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { usage } from "../exit-codes.ts";

/** Every service of the public port. */
export const SERVICES: DescService[] = [
  JobService,
  BuildService,
  LogService,
  ArtifactService,
  PipelineService,
  FleetService,
  EventService,
  IdentityService,
  Health,
];

/** What messages may carry as Any. */
export const REGISTRY = createRegistry(...SERVICES, ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** The method that `Service/Method` names, the package left out where nobody would miss it. Refuses others. */
export function findMethod(text: string): DescMethod {
  const [service = "", method = "", ...rest] = text.replace(/^\//, "").split("/");
  const found = SERVICES.find((s) => s.typeName === service || s.name === service);
  if (!found || rest.length > 0) throw unknown(text, SERVICES);
  const called = found.methods.find((m) => m.name === method);
  if (!called) throw unknown(text, [found]);
  return called;
}

function unknown(text: string, services: DescService[]): Error {
  const names = services.flatMap((s) => s.methods.map((m) => `  ${s.typeName}/${m.name}`));
  return usage(`No method is named ${JSON.stringify(text)}. There are:\n${names.join("\n")}`);
}
