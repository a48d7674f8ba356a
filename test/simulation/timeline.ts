// The short form of a run's timeline, for a person who wants to know what happened: faults, orders, starts, ends and who leads, without clients, the
// messages of the stream and most of the fields. The long form is `--trace`.
const left = /^ *[\d.]+ (client-\d+|stream) /;
const fieldsAt = / \{"/;
const maxColumns = 150;
const maxLines = 80;

/** Of the lines of a `Trace`, the last that tell something. */
export function shortTimeline(lines: readonly string[]): string[] {
  const told = lines.filter((line) => !left.test(line)).map((line) => (line.split(fieldsAt, 1)[0] ?? line).slice(0, maxColumns));
  return told.length <= maxLines ? told : [`... ${String(told.length - maxLines)} lines before`, ...told.slice(-maxLines)];
}
