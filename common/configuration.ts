// Who counts: the list of disks, by incarnation, of which a majority is needed (ADR 10).
import { z } from 'zod';

const voterSchema = z.strictObject({
  pod: z.string().min(1).max(253),
  /** Random id of the disk; another disk of the same pod is another voter. */
  incarnation: z.string().min(1).max(32),
});
export type Voter = z.infer<typeof voterSchema>;

/** In the order of their pods in failover.csv when it was made; a pod stands in it once. */
export const configurationSchema = z
  .array(voterSchema)
  .min(1)
  .max(7)
  .refine((voters) => new Set(voters.map(({ pod }) => pod)).size === voters.length, { message: 'names a pod twice' });
export type Configuration = readonly Voter[];

/** The same disks count. */
export const sameVoters = (a: Configuration, b: Configuration): boolean =>
  a.length === b.length && a.every(({ pod, incarnation }, at) => b[at]?.pod === pod && b[at].incarnation === incarnation);
