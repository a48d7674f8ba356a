// Durations as the ControlCluster writes them: a whole number with a unit, such as 500ms, 6s or 5m.
// A subset of what Kubernetes and CEL call a duration, so that the API server can compare them.
export const durationForm = /^[1-9][0-9]{0,5}(ms|s|m|h)$/;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds. Throws a RangeError for any other text. */
export function parseDurationMs(text: string): number {
  const factor = unitMs[durationForm.exec(text)?.[1] ?? ''];
  if (factor === undefined) throw new RangeError(`${text} is not a duration such as 500ms, 6s or 5m`);
  return Number.parseInt(text, 10) * factor;
}
