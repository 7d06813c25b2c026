import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  GetSchemaResponseSchema,
  type PipelineService,
  ValidatePipelineResponseSchema,
} from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { Refusal } from "../../process/refusal.ts";
import { MAX_TEXT_BYTES } from "../pipeline/check-text.ts";
import { makeSchema } from "../pipeline/make-schema.ts";
import { readPipelineApart } from "../pipeline/read-pipeline-apart.ts";

/** The one validator of pipelines, for editors and the command line; the trigger uses the same code. */
export function pipelineService(): ServiceImpl<typeof PipelineService> {
  const jsonSchema = makeSchema();
  return {
    async validatePipeline({ text, file }) {
      const sizeBytes = Buffer.byteLength(text);
      if (sizeBytes > MAX_TEXT_BYTES) {
        const message = `the pipeline has ${sizeBytes} bytes; at most ${MAX_TEXT_BYTES} (512 KiB) are allowed; split it`;
        throw new Refusal("invalid_argument", "TEXT_TOO_LARGE", message, {
          violations: [{ field: "text", description: message }],
        });
      }
      return create(ValidatePipelineResponseSchema, await readPipelineApart(text, file || undefined));
    },
    getSchema: () => create(GetSchemaResponseSchema, { jsonSchema }),
  };
}
