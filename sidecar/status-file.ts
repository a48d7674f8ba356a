// The status file (K13): role and position of this node for whoever shares the volume; replaced whole, so that a reader never sees half of it.
// Best effort: the Process API says the same, and a full in-memory volume must not stop a member.
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';

export function createStatusFile(directory: string, log: Logger): (content: object) => void {
  const path = join(directory, 'status.json');
  let wanted: object | null = null;
  let writing = false;

  const write = async (): Promise<void> => {
    writing = true;
    while (wanted !== null) {
      const text = `${JSON.stringify(wanted)}\n`;
      wanted = null;
      try {
        await writeFile(`${path}.new`, text);
        await rename(`${path}.new`, path);
      } catch (error) {
        log.warn({ err: error }, 'status file not written');
      }
    }
    writing = false;
  };

  return (content) => {
    wanted = content;
    if (!writing) void write();
  };
}
