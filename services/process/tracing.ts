/** Ends tracing and sends what is still held. */
export type StopTracing = () => Promise<void>;

type Env = Record<string, string | undefined>;

/** Whether OpenTelemetry's own variables ask for traces (https://opentelemetry.io/docs/specs/otel/configuration/). */
export function tracingWanted(env: Env): boolean {
  if (env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return false;
  const exporter = env["OTEL_TRACES_EXPORTER"];
  if (exporter !== undefined && exporter !== "") return exporter !== "none";
  return Boolean(env["OTEL_EXPORTER_OTLP_ENDPOINT"] || env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
}

/**
 * Starts OpenTelemetry's SDK when its variables ask for it. It takes 200 ms to load, so it is only loaded then. The
 * service's name is the part's unless OTEL_SERVICE_NAME says otherwise.
 */
export async function startTracing(part: string, env: Env): Promise<StopTracing> {
  if (!tracingWanted(env)) return async () => {};
  const { NodeSDK } = await import("@opentelemetry/sdk-node");
  const sdk = new NodeSDK({ serviceName: env["OTEL_SERVICE_NAME"] || `ritmo-${part}` });
  sdk.start();
  return () => sdk.shutdown();
}
