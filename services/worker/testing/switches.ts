import type { MessageInitShape } from "@bufbuild/protobuf";
import type { InputFileSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";

/** What a test makes the peer do wrong. */
export interface Switches {
  /** Stores and does not acknowledge. */
  loseAcks: boolean;
  /** Records a finish and breaks the call instead of answering. */
  loseFinishAnswers: number;
  /** Ends each Attend right after Welcome. */
  breakAttend: boolean;
  /** Executes so many Hellos and breaks the stream instead of answering. */
  loseWelcomes: number;
  /** Reports get no answer. */
  silent: boolean;
  /** Every log chunk is refused with this reason, so many times. */
  refuseChunks: { reason: string; times: number } | undefined;
  /** Breaks an AppendLog stream after so many chunks. */
  breakLogAfter: number | undefined;
  /** Chunks wait so long for their acknowledgement. */
  ackDelayMs: number;
  /** Breaks a SendArtifact after so many bytes. */
  breakSendAfterBytes: number | undefined;
  /** Every BeginUpload is refused so. */
  refuseUploads: { code: number; reason: string } | undefined;
  /** Files are PUT to this address in parts; some are there already, with these tags. */
  signedParts: { partBytes: number; url: string; there: Record<number, string> } | undefined;
  /** What every attempt may bring in. */
  inputs: (MessageInitShape<typeof InputFileSchema> & { bytes: Buffer })[];
  /** FetchInput breaks after so many bytes. */
  fetchPieceBytes: number | undefined;
  /** FetchInput knows none of them. */
  missingInputs: boolean;
}

/** A peer that does nothing wrong. */
export function noSwitches(): Switches {
  return {
    loseAcks: false,
    loseFinishAnswers: 0,
    breakAttend: false,
    loseWelcomes: 0,
    silent: false,
    refuseChunks: undefined,
    breakLogAfter: undefined,
    ackDelayMs: 0,
    breakSendAfterBytes: undefined,
    refuseUploads: undefined,
    signedParts: undefined,
    inputs: [],
    fetchPieceBytes: undefined,
    missingInputs: false,
  };
}
