const TELL_EVERY_MS = 3_000;

interface Layer {
  done: boolean;
  bytes: number;
  totalBytes: number;
}

/** Turns the engine's lines about a pull into a line now and then. `heard` answers what went wrong, once something did. */
export function pullProgress(tell: (line: string) => void): { heard(line: string): string | undefined; done(): void } {
  const layers = new Map<string, Layer>();
  const startedAtMs = performance.now();
  let toldAtMs = startedAtMs;
  const sum = () => {
    const all = [...layers.values()];
    const megabytes = (of: (layer: Layer) => number) =>
      (all.reduce((total, layer) => total + of(layer), 0) / 1e6).toFixed(1);
    const here = all.filter(({ done }) => done).length;
    return `${here} of ${all.length} layers, ${megabytes((l) => l.bytes)} of ${megabytes((l) => l.totalBytes)} MB`;
  };
  return {
    heard(line) {
      const { id, status = "", progressDetail, error, errorDetail } = parse(line);
      if (error ?? errorDetail?.message) return error ?? errorDetail?.message;
      const isLayer = /^(Downloading|Download complete|Pull complete|Already exists|Pulling fs layer)/.test(status);
      if (id === undefined || !isLayer) return undefined;
      const layer = layers.get(id) ?? { done: false, bytes: 0, totalBytes: 0 };
      layers.set(id, layer);
      layer.totalBytes = progressDetail?.total ?? layer.totalBytes;
      layer.bytes = progressDetail?.current ?? layer.bytes;
      if (/complete|exists/.test(status)) Object.assign(layer, { done: true, bytes: layer.totalBytes });
      if (performance.now() - toldAtMs < TELL_EVERY_MS) return undefined;
      toldAtMs = performance.now();
      tell(`pulling: ${sum()}`);
      return undefined;
    },
    done: () => tell(`pulled ${sum()} in ${Math.round(performance.now() - startedAtMs)} ms`),
  };
}

interface Said {
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
  errorDetail?: { message?: string };
}

function parse(line: string): Said {
  try {
    return JSON.parse(line) as Said;
  } catch {
    return {};
  }
}
