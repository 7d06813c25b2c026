import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AppendLogRequestSchema, type Mark } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";

const NOTHING = new Uint8Array();

/** Marks as the table keeps them: a message with nothing else, so that two of them laid end to end are both. */
export function packMarks(marks: Mark[]): Uint8Array {
  return marks.length === 0 ? NOTHING : toBinary(AppendLogRequestSchema, create(AppendLogRequestSchema, { marks }));
}

/** The marks of a stored chunk, in the order they came. */
export function unpackMarks(packed: Uint8Array): Mark[] {
  return packed.length === 0 ? [] : fromBinary(AppendLogRequestSchema, packed).marks;
}
