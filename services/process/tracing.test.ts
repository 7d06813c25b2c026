import http from "node:http";
import type { AddressInfo } from "node:net";
import { trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { startTracing, tracingWanted } from "./tracing.ts";

test.each([
  [{}, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://x" }, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://x" }, true],
  [{ OTEL_TRACES_EXPORTER: "console" }, true],
  [{ OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: "http://x" }, false],
  [{ OTEL_SDK_DISABLED: "TRUE", OTEL_EXPORTER_OTLP_ENDPOINT: "http://x" }, false],
])("traces are wanted with %j: %s", (env, wanted) => {
  expect(tracingWanted(env as Record<string, string>)).toBe(wanted);
});

test("a span reaches the collector before the end; without variables nothing is started", async () => {
  const stopNothing = await startTracing("test", {});
  expect(trace.getTracer("x").startSpan("none").isRecording()).toBe(false);
  await stopNothing();

  const paths: string[] = [];
  const collector = http.createServer((request, response) => {
    paths.push(request.url ?? "");
    request.resume().on("end", () => response.end());
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const before = process.env;
  process.env = {
    ...before,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
    OTEL_METRICS_EXPORTER: "none",
    OTEL_LOGS_EXPORTER: "none",
  };
  const stop = await startTracing("test", process.env);
  trace.getTracer("x").startSpan("one").end();
  await stop();
  process.env = before;
  collector.close();
  expect(paths).toContain("/v1/traces");
});
