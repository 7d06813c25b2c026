import type { Settings } from "../process/read-settings.ts";
import {
  boolean,
  choice,
  integer,
  listenAddress,
  optionalPath,
  optionalPostgresUrl,
  optionalText,
  optionalUrl,
  text,
} from "../process/setting-kinds.ts";

/** Every setting of `ritmo server`, in the order in which the documentation lists them. */
export const CONTROL_PLANE_SETTINGS = {
  databaseUrl: optionalPostgresUrl("RITMO_DATABASE_URL", {
    help: "Your own PostgreSQL, 15 or newer: postgres://user:password@host:5432/name. Needed by `ritmo server`; `npm start` brings its own.",
    secret: true,
  }),
  listen: listenAddress("RITMO_LISTEN", "127.0.0.1:7480", {
    help: "Where the web page, Connect, gRPC-Web, gRPC and reflection are served.",
  }),
  url: optionalUrl("RITMO_URL", {
    help: "The address that people and scripts reach this server by, for links.",
    shownDefault: "http:// and RITMO_LISTEN",
  }),
  workerListen: listenAddress("RITMO_WORKER_LISTEN", "127.0.0.1:7481", { help: "Where workers come in, over gRPC." }),
  metricsListen: listenAddress("RITMO_METRICS_LISTEN", "127.0.0.1:7482", {
    help: "Where /metrics, /healthz and /readyz are served.",
  }),
  tlsCert: optionalPath("RITMO_TLS_CERT", { help: "Certificate chain (PEM) of RITMO_LISTEN; with RITMO_TLS_KEY." }),
  tlsKey: optionalPath("RITMO_TLS_KEY", { help: "Its private key (PEM)." }),
  workerTlsCert: optionalPath("RITMO_WORKER_TLS_CERT", {
    help: "Certificate chain (PEM) of RITMO_WORKER_LISTEN; with RITMO_WORKER_TLS_KEY.",
  }),
  workerTlsKey: optionalPath("RITMO_WORKER_TLS_KEY", { help: "Its private key (PEM)." }),
  workerTlsCa: optionalPath("RITMO_WORKER_TLS_CA", {
    help: "Certificates (PEM) of who may sign a worker's own certificate; set, and workers must show one.",
  }),
  s3Endpoint: optionalUrl("RITMO_S3_ENDPOINT", {
    help: "An S3 server for logs and artifacts; without it RITMO_BLOB_DIR.",
  }),
  s3Region: text("RITMO_S3_REGION", "us-east-1", { help: "Its region." }),
  s3Bucket: optionalText("RITMO_S3_BUCKET", { help: "The bucket, which must exist." }),
  s3AccessKeyId: optionalText("RITMO_S3_ACCESS_KEY_ID", { help: "The key's id.", secret: true }),
  s3SecretAccessKey: optionalText("RITMO_S3_SECRET_ACCESS_KEY", { help: "The key itself.", secret: true }),
  s3PathStyle: boolean("RITMO_S3_PATH_STYLE", true, { help: "Name the bucket in the path, not in the host." }),
  s3PublicEndpoint: optionalUrl("RITMO_S3_PUBLIC_ENDPOINT", {
    help: "The S3 server's address for browsers and workers, where it differs.",
  }),
  blobDir: optionalPath("RITMO_BLOB_DIR", {
    help: "A folder for logs and artifacts where there is no S3 server. All replicas must see the same one.",
  }),
  retentionDays: integer(
    "RITMO_RETENTION_DAYS",
    90,
    { min: 0, max: 36_500 },
    { help: "Builds that ended longer ago go, with their logs and artifacts; 0 keeps them. A job may say otherwise." },
  ),
  retentionBuilds: integer(
    "RITMO_RETENTION_BUILDS",
    0,
    { min: 0, max: 1_000_000_000 },
    { help: "So many builds of a job are kept, the newest ones; 0 sets no bound. A job may say otherwise." },
  ),
  retentionJobGib: integer(
    "RITMO_RETENTION_JOB_GIB",
    0,
    { min: 0, max: 8_000_000 },
    { help: "A job's newest builds are kept up to so many GiB; 0 sets no bound. A job may say otherwise." },
  ),
  retentionGib: integer(
    "RITMO_RETENTION_GIB",
    0,
    { min: 0, max: 8_000_000 },
    { help: "All builds of an organization are kept up to so many GiB, the oldest go first; 0 sets no bound." },
  ),
  gitCredentials: optionalPath("RITMO_GIT_CREDENTIALS", {
    help: "A file of mode 0600 with one `host user token` a line, for https repositories.",
  }),
  allowLocalRepositories: boolean("RITMO_ALLOW_LOCAL_REPOSITORIES", false, {
    help: "Allow repositories at file://, loopback and private addresses.",
  }),
  leaseSeconds: integer(
    "RITMO_LEASE_SECONDS",
    20,
    { min: 2, max: 600 },
    { help: "How long a worker that is not heard of keeps its steps. It reports four times as often." },
  ),
  reflection: boolean("RITMO_REFLECTION", true, { help: "Serve gRPC reflection without a token." }),
  logLevel: choice("RITMO_LOG_LEVEL", "info", ["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
    help: "How much a process says about itself on standard error.",
  }),
};

export type Config = Settings<typeof CONTROL_PLANE_SETTINGS>;
