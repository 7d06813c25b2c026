const HEAD_BYTES = 8;

/**
 * Takes the payload out of the engine's frames (a kind, three zeros, a length of four bytes, most significant first):
 * Docker Engine API, "Attach to a container". Pieces may be cut anywhere. Throws when the bytes are no frames.
 */
export function demultiplexer(): (piece: Buffer) => Buffer[] {
  let head: Buffer = Buffer.alloc(0);
  let left = 0;
  return (piece) => {
    const payload: Buffer[] = [];
    for (let at = 0; at < piece.length; ) {
      if (left > 0) {
        const part = piece.subarray(at, at + left);
        payload.push(part);
        left -= part.length;
        at += part.length;
        continue;
      }
      const missing = piece.subarray(at, at + HEAD_BYTES - head.length);
      head = head.length === 0 ? missing : Buffer.concat([head, missing]);
      at += missing.length;
      if (head.length < HEAD_BYTES) break;
      if ((head[0] as number) > 2 || head.readUIntBE(1, 3) !== 0) throw new Error("the engine sent no frames");
      left = head.readUInt32BE(4);
      head = Buffer.alloc(0);
    }
    return payload;
  };
}
