import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { Refusal } from "../../process/refusal.ts";
import type { Metrics } from "../metrics.ts";
import { withMessages } from "./interceptors.ts";
import { fromRefusal } from "./translate-error.ts";

type Counted = Pick<Metrics, "rpcHandled" | "rpcHandling">;

/** Counts every call and how long it took; a stream when it ends. Outermost, so that it sees translated errors. */
export function countCalls(metrics: Counted): Interceptor {
  return (next) => async (request) => {
    const labels = labelsOf(request.method);
    const stop = metrics.rpcHandling.startTimer(labels);
    const end = (code: string) => {
      stop();
      metrics.rpcHandled.inc({ ...labels, code });
    };
    try {
      const response = await next(request);
      if (response.stream) return withMessages(response, counted(response.message, end));
      end("ok");
      return response;
    } catch (reason) {
      end(codeName(reason));
      throw reason;
    }
  };
}

/** Counts a call that was refused before its handler. */
export function countRefused(metrics: Counted) {
  return (method: DescMethod, reason: unknown): void => {
    const code = codeName(reason instanceof Refusal ? fromRefusal(reason) : reason);
    metrics.rpcHandled.inc({ ...labelsOf(method), code });
  };
}

async function* counted<T>(messages: AsyncIterable<T>, end: (code: string) => void): AsyncGenerator<T> {
  // A reader that stops reading has left.
  let code = "canceled";
  try {
    yield* messages;
    code = "ok";
  } catch (reason) {
    code = codeName(reason);
    throw reason;
  } finally {
    end(code);
  }
}

function labelsOf(method: DescMethod) {
  return { service: method.parent.typeName, method: method.name };
}

function codeName(reason: unknown): string {
  const name = Code[reason instanceof ConnectError ? reason.code : Code.Internal] ?? "Internal";
  return name.replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();
}
