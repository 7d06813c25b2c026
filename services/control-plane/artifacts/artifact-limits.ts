const MIB = 1024 * 1024;

/** What a worker is told in Welcome about artifacts, and what is refused above it. */
export const ARTIFACT_LIMITS = { maxArtifactBytes: 10 * 1024 * MIB, maxArtifacts: 10_000 };

/** Up to here an upload to S3 is one part; above it goes in several, which a break can leave half. */
export const ONE_PART_BYTES = 64 * MIB;
export const PART_BYTES = 16 * MIB;

/** How long a signed address for an upload holds. */
export const UPLOAD_EXPIRY_SECONDS = 60 * 60;
/** How long a signed address for a download holds. */
export const DOWNLOAD_EXPIRY_SECONDS = 15 * 60;
