import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { Refusal } from "../../process/refusal.ts";
import type { Caller, WorkerCaller } from "../identity/caller.ts";
import { arrivalKey, callerKey, workerCallerKey } from "./context.ts";
import { allows, methodName, needOf } from "./method-scopes.ts";
import type { Bearer } from "./read-bearer.ts";

/** Who a token is, or nobody: unknown, revoked, expired. Throws only when it can't be looked up. */
export type Lookup<C> = (token: string) => Promise<C | undefined>;
export type Authorize = (method: DescMethod, values: ContextValues) => Promise<void>;

/** Lets a call on the public port through with its caller, or refuses it. Runs before its body is read. */
export function authorizeUsers(lookup: Lookup<Caller>): Authorize {
  return async (method, values) => {
    const need = needOf(method);
    if (need === undefined) throw new Refusal("permission_denied", "METHOD_NOT_LISTED", "nobody may call this method");
    if (need === "public") return;
    const token = presented(values, "a token");
    if (token.startsWith("rw_")) {
      throw new Refusal(
        "unauthenticated",
        "TOKEN_OF_WORKER",
        "this is a worker's token; it counts on the worker port only",
      );
    }
    const caller = await lookup(token);
    if (!caller) throw unknownToken();
    if (!allows(caller.scope, need)) {
      throw new Refusal("permission_denied", "SCOPE_MISSING", `${method.name} needs a token with the scope ${need}`, {
        metadata: { scope: need, method: methodName(method) },
      });
    }
    values.set(callerKey, caller);
  };
}

/** The same for the worker port, where every call but health and reflection is a worker's. */
export function authorizeWorkers(lookup: Lookup<WorkerCaller>): Authorize {
  return async (method, values) => {
    if (needOf(method) === "public") return;
    const token = presented(values, "a worker's token");
    if (token.startsWith("rt_")) {
      const message = "this is a user's token; workers have tokens of their own (`ritmo worker create`)";
      throw new Refusal("unauthenticated", "TOKEN_OF_USER", message);
    }
    const caller = await lookup(token);
    if (!caller) throw unknownToken();
    values.set(workerCallerKey, caller);
  };
}

function presented(values: ContextValues, what: string): string {
  const bearer: Bearer = values.get(arrivalKey)?.bearer ?? { problem: "missing" };
  if ("token" in bearer) return bearer.token;
  if (bearer.problem === "missing") {
    throw new Refusal("unauthenticated", "TOKEN_MISSING", `this call needs ${what}: authorization: Bearer …`);
  }
  if (bearer.problem === "contradictory") {
    throw new Refusal("unauthenticated", "TOKEN_CONTRADICTORY", "two authorization headers that differ");
  }
  throw new Refusal("unauthenticated", "TOKEN_MALFORMED", "the authorization header is not `Bearer` and a token");
}

function unknownToken(): Refusal {
  return new Refusal("unauthenticated", "TOKEN_UNKNOWN", "the token is not known, or it was revoked or has ended");
}
