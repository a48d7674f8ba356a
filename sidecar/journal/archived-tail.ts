// Reads an archived tail back, change by change, so that it can be replayed. The whole file is verified by its sum before the first change is given:
// a damaged archive gives nothing. Which archives there are is said in archive.ts.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { epochSchema } from '../../common/position.ts';
import { changeSchema } from '../core/frame.ts';
import type { ArchivedChange, ArchivedTail } from '../ports.ts';
import { tailFile } from './archive.ts';
import { fileContent } from './archive-copy.ts';
import type { Disk } from './disk.ts';

const newline = 0x0a;

const lineSchema = changeSchema.extend({ uid: z.int().min(1), epoch: epochSchema, index: z.int().min(1), timeMs: z.int() });

/** Rejects with AppError archive_corrupt. */
export async function* changesOf(disk: Disk, directory: string, { id, sha256 }: ArchivedTail): AsyncGenerator<ArchivedChange> {
  const path = join(directory, tailFile(id));
  const sum = createHash('sha256');
  for await (const bytes of fileContent(disk, path)) sum.update(bytes);
  if (sum.digest('hex') !== sha256) throw new AppError('archive_corrupt', `The file of archive ${id} is not the one that was written.`);
  for await (const line of linesOf(fileContent(disk, path))) {
    const { uid, epoch, index: _index, timeMs: _timeMs, ...change } = lineSchema.parse(JSON.parse(line.toString()));
    yield { uid, epoch, change };
  }
}

async function* linesOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const bytes of content) {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
  }
}
