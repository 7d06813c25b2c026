import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { callerKey } from "../control-plane/edge/context.ts";
import { translateErrors } from "../control-plane/edge/interceptors.ts";
import type { Caller } from "../control-plane/identity/caller.ts";
import { openLogger } from "../process/logger.ts";

/** A client of one service's handlers, as this caller, with errors as the edge writes them and no port in between. */
export function callHandlers<S extends DescService>(
  service: S,
  handlers: Partial<ServiceImpl<S>>,
  caller: Partial<Caller> = {},
): Client<S> {
  const whole = { orgId: "org_default", tokenId: "tok_test", name: "somebody", scope: "admin" as const, ...caller };
  const transport = createRouterTransport(({ service: serve }) => serve(service, handlers), {
    router: {
      interceptors: [
        translateErrors(openLogger("test", "silent")),
        (next) => (request) => {
          request.contextValues.set(callerKey, whole);
          return next(request);
        },
      ],
    },
  });
  return createClient(service, transport);
}

export interface SeenRefusal {
  code: string;
  reason: string;
  message: string;
}

/** What a call was refused with; fails where it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<SeenRefusal> {
  const reason = await call.then(
    () => {
      throw new Error("the call was not refused");
    },
    (error: unknown) => error,
  );
  if (!(reason instanceof ConnectError)) throw reason;
  const [info] = reason.findDetails(ErrorInfoSchema);
  return { code: Code[reason.code] ?? "", reason: info?.reason ?? "", message: reason.rawMessage };
}
