import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { messageTooLarge } from "./message-limits.ts";

/** gzip that stops inflating at the limit, and for which a broken input is the caller's fault and not ours. */
export const strictGzip: Compression = {
  name: compressionGzip.name,
  compress: (bytes) => compressionGzip.compress(bytes),
  async decompress(bytes, maxBytes) {
    try {
      return await compressionGzip.decompress(bytes, maxBytes);
    } catch (reason) {
      if (reason instanceof ConnectError && reason.code === Code.ResourceExhausted) throw messageTooLarge(maxBytes);
      throw new ConnectError("the compressed message can't be read", Code.InvalidArgument);
    }
  },
};
