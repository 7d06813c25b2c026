import type { Interceptor, StreamResponse } from "@connectrpc/connect";
import type { Logger } from "../../process/logger.ts";
import { arrivalKey } from "./context.ts";
import { translateError } from "./translate-error.ts";
import { messagesUntilAborted, untilAborted } from "./until-aborted.ts";

/** Turns whatever a handler throws into a status. */
export function translateErrors(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const about = { logger, requestId: request.contextValues.get(arrivalKey)?.requestId ?? "" };
    try {
      const response = await next(request);
      return response.stream ? withMessages(response, translated(response.message, about)) : response;
    } catch (reason) {
      throw translateError(reason, about);
    }
  };
}

async function* translated<T>(messages: AsyncIterable<T>, about: Parameters<typeof translateError>[1]) {
  try {
    yield* messages;
  } catch (reason) {
    throw translateError(reason, about);
  }
}

/**
 * Ends a call when its signal aborts (deadline, a caller that left, a server that stops), whether or not the handler
 * listens; and a stream, too, when its caller's token no longer counts. `recheck` throws when it doesn't.
 */
export function endWithSignal(recheck: (request: RequestLike) => Promise<void>, everyMs: number): Interceptor {
  return (next) => async (request) => {
    if (!request.stream) return untilAborted(next(request), request.signal);
    const over = new AbortController();
    const signal = AbortSignal.any([request.signal, over.signal]);
    const timer = setInterval(() => {
      recheck(request).catch((reason: unknown) => over.abort(reason));
    }, everyMs);
    // The call's own signal aborts at every end, a good one too.
    request.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    const response = await untilAborted(next({ ...request, signal }), signal);
    return response.stream ? withMessages(response, messagesUntilAborted(response.message, signal)) : response;
  };
}

type RequestLike = Parameters<ReturnType<Interceptor>>[0];

/** The response with other messages: the same headers and trailers, which the handler goes on writing to. */
export function withMessages(response: StreamResponse, message: StreamResponse["message"]): StreamResponse {
  return { ...response, message };
}
