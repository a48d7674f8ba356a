// `failover.csv` (K5): one `host,port` a line, the preferred leader first, always-followers last.
export interface FailoverEntry {
  readonly host: string;
  readonly port: number;
}

const maxEntries = 64;

export function formatFailover(entries: readonly FailoverEntry[]): string {
  return entries.map(({ host, port }) => `${host},${String(port)}\n`).join('');
}

/** Parses the file; throws a RangeError that names the line when it is not of the form. */
export function parseFailover(text: string): FailoverEntry[] {
  const lines = [...text.split(/\r?\n/).entries()].filter(([, line]) => line.trim() !== '');
  if (lines.length > maxEntries) throw new RangeError(`failover.csv has ${String(lines.length)} lines, the limit is ${String(maxEntries)}`);
  return lines.map(([at, line]) => {
    const match = /^\s*([A-Za-z0-9.-]{1,253})\s*,\s*(\d{1,5})\s*$/.exec(line);
    const port = Number(match?.[2]);
    if (match?.[1] === undefined || port < 1 || port > 65_535) throw new RangeError(`failover.csv line ${String(at + 1)} is not host,port`);
    return { host: match[1], port };
  });
}
