import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@ritmo/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionV1Alpha } from "@ritmo/contract/grpc/reflection/v1alpha/reflection_pb.js";
import { healthService } from "./health.ts";
import { reflectionService } from "./reflection.ts";

export interface StandardServices {
  isReady: () => boolean | Promise<boolean>;
  reflection: boolean;
}

/** Adds health, and reflection unless it is switched off, to the services that a port serves. */
export function addStandardServices(router: ConnectRouter, standard: StandardServices): void {
  const services = servicesOf(router);
  router.service(
    Health,
    healthService(
      standard.isReady,
      services.map((service) => service.typeName),
    ),
  );
  if (!standard.reflection) return;
  const all = [...services, Health, ServerReflection, ServerReflectionV1Alpha];
  const implementation = reflectionService(all);
  router.service(ServerReflection, implementation);
  router.service(ServerReflectionV1Alpha, implementation as unknown as ServiceImpl<typeof ServerReflectionV1Alpha>);
}

/** The services that were registered so far, in the order of their names. */
export function servicesOf(router: Pick<ConnectRouter, "handlers">): DescService[] {
  const services = new Map(router.handlers.map((handler) => [handler.service.typeName, handler.service]));
  return [...services.values()].sort((a, b) => (a.typeName < b.typeName ? -1 : 1));
}
