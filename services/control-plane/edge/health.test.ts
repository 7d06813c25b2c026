import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { openTestPort } from "../../testing/edge-ports.ts";
import { addStandardServices } from "./standard-services.ts";

test("health follows readiness, for the server and for each service it serves", async () => {
  let ready = true;
  await using port = await openTestPort({
    routes(router) {
      router.service(JobService, {});
      addStandardServices(router, { isReady: () => ready, reflection: false });
    },
  });
  const client = createClient(Health, createGrpcTransport({ baseUrl: port.url }));
  expect((await client.check({})).status).toBe(Status.SERVING);
  expect((await client.check({ service: "ritmo.job.v1.JobService" })).status).toBe(Status.SERVING);
  const nobody = await client.check({ service: "ritmo.none.v1.X" }).catch(ConnectError.from);
  expect(nobody).toMatchObject({ code: Code.NotFound });
  const seen: Status[] = [];
  for await (const { status } of client.watch({})) {
    seen.push(status);
    ready = false;
    if (status === Status.NOT_SERVING) break;
  }
  expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
  for await (const { status } of client.watch({ service: "ritmo.none.v1.X" })) {
    expect(status).toBe(Status.SERVICE_UNKNOWN);
    break;
  }
});
