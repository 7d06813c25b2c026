import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";

const zstd = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** A frame of an archive: zstd of at most this many raw bytes, so that any byte is one range request away. */
export const FRAME_BYTES = 1024 * 1024;

export interface ArchivedFrame {
  start: number;
  rawLength: number;
  lines: number;
  linesBefore: number;
  /** Where it is in the object. */
  at: number;
  packedLength: number;
  /** As the table of chunks keeps them, in base64. */
  marks: string;
}

export interface ArchivedGroup {
  name: string;
  entry: number;
  startOffset: number;
  startLine: number;
  /** 0 while it is open. */
  endOffset: number;
  startedAtMs: number | null;
  endedAtMs: number | null;
}

/** What lies beside an archived log, as one object: JSON, packed with zstd. */
export interface ArchiveIndex {
  version: 1;
  bytes: number;
  lineEnds: number;
  /** The last line has no end. */
  openLine: boolean;
  sha256: string;
  frames: ArchivedFrame[];
  groups: ArchivedGroup[];
}

/** That of a log in which nothing is. */
export const EMPTY_INDEX: ArchiveIndex = {
  ...{ version: 1, bytes: 0, lineEnds: 0, openLine: false },
  ...{ sha256: createHash("sha256").digest("hex"), frames: [], groups: [] },
};

/** Where an attempt's archives are; both keys follow from its ids, so that a repeated archiving meets itself. */
export function archiveKeys(log: { orgId: string; buildId: string; leaseId: string; kind: number }) {
  const bytes = `o/${log.orgId}/b/${log.buildId}/l/${log.leaseId}/log-${log.kind}.zst`;
  return { bytes, index: `${bytes}.idx` };
}

/** Packs a frame or an index, with a checksum of its raw bytes inside. */
export function packFrame(bytes: Buffer): Promise<Buffer> {
  return zstd(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

export async function packIndex(index: ArchiveIndex): Promise<Buffer> {
  return packFrame(Buffer.from(JSON.stringify(index)));
}

export async function unpackIndex(packed: Buffer): Promise<ArchiveIndex> {
  const index = JSON.parse((await decompress(packed)).toString()) as ArchiveIndex;
  if (index.version !== 1) throw new Error(`an archive's index of version ${index.version} is newer than this server`);
  return index;
}
