import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues } from "@connectrpc/connect";
import { Refusal } from "../../process/refusal.ts";
import type { Authorize } from "./authorize.ts";
import { arrivalKey } from "./context.ts";

/**
 * Whether the caller of an open stream would still be let in. Throws the refusal when not; a lookup that fails for
 * another reason decides nothing.
 */
export function recheckCaller(authorize: Authorize) {
  return async ({ method, contextValues }: { method: DescMethod; contextValues: ContextValues }): Promise<void> => {
    try {
      await authorize(method, createContextValues().set(arrivalKey, contextValues.get(arrivalKey)));
    } catch (reason) {
      if (reason instanceof Refusal) throw reason;
    }
  };
}
