import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test, vi } from "vitest";
import { openTestPort, TOKENS } from "../../testing/edge-ports.ts";
import { openMetrics } from "../metrics.ts";
import { countCalls, countRefused } from "./count-calls.ts";

test("every call is counted with its code: answered, refused before its handler, failed, left", async () => {
  const metrics = openMetrics({ processMetrics: false });
  await using port = await openTestPort({ interceptors: [countCalls(metrics)], onRefused: countRefused(metrics) });
  const transport = createGrpcTransport({ baseUrl: port.url });
  const identity = createClient(IdentityService, transport);
  const headers = { authorization: `Bearer ${TOKENS.read}` };
  await identity.whoAmI({}, { headers });
  await identity.whoAmI({}).catch(() => {});
  await identity.createToken({}, { headers }).catch(() => {});
  await identity.exchangeSetupCode({}).catch(() => {});
  const leave = new AbortController();
  const followed = (async () => {
    const options = { headers, signal: leave.signal };
    for await (const _ of createClient(LogService, transport).followLog({}, options)) leave.abort();
  })();
  await expect(followed).rejects.toMatchObject({ code: Code.Canceled });

  await vi.waitFor(async () => {
    const { values } = await metrics.rpcHandled.get();
    expect(values.map(({ labels, value }) => `${labels.method} ${labels.code} ${value}`)).toEqual([
      "WhoAmI ok 1",
      "WhoAmI unauthenticated 1",
      "CreateToken permission_denied 1",
      "ExchangeSetupCode unimplemented 1",
      "FollowLog canceled 1",
    ]);
  });
  expect(await metrics.registry.metrics()).toMatch(
    /ritmo_rpc_handling_seconds_count\{service="ritmo.identity.v1.IdentityService",method="WhoAmI"\} 1/,
  );
});
