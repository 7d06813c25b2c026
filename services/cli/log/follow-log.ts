import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { LogKind, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { type KeepReading, keepReading } from "../keep-reading.ts";
import type { LogPiece } from "./line-clock.ts";

/**
 * Answers a log's bytes from an offset on until the attempt is over, each byte once, whatever breaks on the way.
 * Throws ConnectError as LogService.FollowLog does, for what opening it again can't mend.
 */
export async function* followLog(
  logs: Client<typeof LogService>,
  { name, kind, offset }: { name: string; kind: LogKind; offset: bigint },
  keep: KeepReading,
): AsyncGenerator<LogPiece> {
  let at = offset;
  const open = (signal: AbortSignal) => logs.followLog({ name, kind, offset: at }, { signal });
  for await (const message of keepReading(open, keep)) {
    if (message.data.length > 0) {
      if (message.offset > at)
        throw new ConnectError(`bytes ${at} to ${message.offset} of the log are missing`, Code.DataLoss);
      const known = Number(at - message.offset);
      if (known < message.data.length) {
        const end = message.offset + BigInt(message.data.length);
        yield { data: message.data.subarray(known), offset: at, times: message.times };
        at = end;
      }
    }
    if (message.end) return;
  }
}
