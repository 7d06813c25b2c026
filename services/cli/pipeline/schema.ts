import { PipelineService } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { Cli } from "../cli.ts";
import { openServer } from "../open-client.ts";

/** Prints the JSON Schema of the written form. */
export async function printSchema(cli: Cli): Promise<void> {
  const { jsonSchema } = await openServer(cli).client(PipelineService).getSchema({});
  await cli.io.stdout.write(jsonSchema.endsWith("\n") ? jsonSchema : `${jsonSchema}\n`);
}
