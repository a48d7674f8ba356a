// `spec.archive`: copies of the state that each pod makes on schedule (K12), and keeps on its own volume. None without it.
// The sidecar takes the same bounds from its environment.
import { z } from 'zod';
import { scheduleForm } from './schedule.ts';
import { form } from './validation.ts';

export const maxArchiveCopies = 365;
export const defaultArchiveCopies = 7;

export const archiveSchema = z.object({
  schedule: form(
    scheduleForm,
    'must be a schedule of five fields, in UTC: minute, hour, day of month, month, day of week, such as 0 2 * * *; each is *, a number, a range or a list of them',
    100,
  ).describe(
    'When each pod makes a copy, in UTC, as cron has it: minute, hour, day of month, month, day of week. 0 2 * * *: each night at 2.',
  ),
  keep: z
    .int()
    .min(1)
    .max(maxArchiveCopies)
    .default(defaultArchiveCopies)
    .describe('How many copies each pod keeps, the newest. They take room on its volume, each up to the size of the state.'),
});
