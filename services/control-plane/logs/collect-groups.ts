import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Mark } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { countLineEnds } from "./count-lines.ts";
import type { ArchivedGroup } from "./log-archive.ts";
import { unpackMarks } from "./log-marks.ts";
import { bytesOf, type LogSource, type MarkedPiece } from "./log-source.ts";

export const MAX_GROUPS = 10_000;

/** The groups of a log so far, in the order they began. */
export async function collectGroups(source: LogSource): Promise<ArchivedGroup[]> {
  const groups = groupCollector();
  for await (const piece of source.marked()) {
    const marks = unpackMarks(piece.marks);
    if (marks.every((mark) => mark.mark.case !== "groupBegin" && mark.mark.case !== "groupEnd")) continue;
    groups.add(piece, marks, needsBytes(piece, marks) ? await readPiece(source, piece) : undefined);
  }
  return groups.all;
}

/** Gathers groups from marks, piece by piece; `bytes` are needed where a group begins inside a piece. */
export function groupCollector() {
  const all: ArchivedGroup[] = [];
  const open: (ArchivedGroup | undefined)[] = [];
  const begin = (mark: Mark, startLine: number) => {
    if (mark.mark.case !== "groupBegin") return;
    const { name, entry } = mark.mark.value;
    const startedAtMs = mark.at ? timestampMs(mark.at) : null;
    const group = {
      name,
      entry,
      startOffset: Number(mark.offset),
      startLine,
      endOffset: 0,
      startedAtMs,
      endedAtMs: null,
    };
    const kept = all.length < MAX_GROUPS;
    if (kept) all.push(group);
    open.push(kept ? group : undefined);
  };
  const end = (mark: Mark) => {
    const group = open.pop();
    if (!group) return;
    group.endOffset = Number(mark.offset);
    group.endedAtMs = mark.at ? timestampMs(mark.at) : null;
  };
  return {
    all,
    add(piece: MarkedPiece, marks: Mark[], bytes: Buffer | undefined) {
      for (const mark of marks) {
        if (mark.mark.case === "groupEnd") end(mark);
        else begin(mark, lineWithin(piece, Number(mark.offset), bytes));
      }
    },
  };
}

/** True when a group begins where the line's number does not follow from the piece alone. */
export function needsBytes(piece: MarkedPiece, marks: Mark[]): boolean {
  return marks.some((mark) => mark.mark.case === "groupBegin" && Number(mark.offset) !== piece.start);
}

function lineWithin(piece: MarkedPiece, offset: number, bytes: Buffer | undefined): number {
  return piece.linesBefore + (bytes ? countLineEnds(bytes, 0, offset - piece.start) : 0) + 1;
}

async function readPiece(source: LogSource, wanted: MarkedPiece): Promise<Buffer | undefined> {
  for await (const piece of source.pieces(wanted.start)) {
    if (piece.start === wanted.start && piece.rawLength === wanted.rawLength) return bytesOf(piece);
    if (piece.start > wanted.start) return undefined;
  }
  return undefined;
}
