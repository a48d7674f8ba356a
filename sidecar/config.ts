// The sidecar's configuration: parsed once from the environment that the operator sets, relations included, then frozen.
// It holds no secret: credentials are files, read by the adapter that needs them, and a URL that carries any is refused.
import { join } from 'node:path';
import { z } from 'zod';
import { defaultArchiveCopies, maxArchiveCopies } from '../common/archive.ts';
import { AppError } from '../common/errors.ts';
import { parseSchedule, scheduleForm } from '../common/schedule.ts';
import { coreLimits } from './core/limits.ts';
import { configDirectory, dataDirectory, runDirectory } from '../common/names.ts';

const maxDurationMs = 3_600_000;

const label = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'takes a DNS label: lower-case letters, digits and -');
const path = z.string().startsWith('/', 'takes an absolute path');
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, 'takes a whole number in decimal digits')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `takes a whole number from ${String(min)} to ${String(max)}`);
const durationMs = whole(1, maxDurationMs);
const bytes = whole(1024, 999_999_999);

/** `nats://host:port`, or `tls://`; several are separated by commas. */
const natsServers = z
  .string()
  .regex(
    /^(nats|tls):\/\/[A-Za-z0-9.[\]:-]+(,(nats|tls):\/\/[A-Za-z0-9.[\]:-]+)*$/,
    'takes nats://host:port or tls://host:port, several separated by commas, without user or password',
  )
  .transform((text) => text.split(','));

/** Variables by name. What the operator leaves out has a default; an empty one counts as left out. */
const environmentSchema = z.object({
  CC_CLUSTER: label(63),
  CC_NAMESPACE: label(63),
  CC_POD: label(63),
  CC_POD_UID: z.string().max(64),
  CC_KIND: z.enum(['member', 'dr']),
  CC_PORT: whole(1, 65_535),
  CC_DURABILITY: z.enum(['Quorum', 'Leader']).default('Quorum'),
  CC_DIVERGED_MEMBER: z.enum(['Archive', 'Block']).default('Archive'),
  CC_NATS_URL: natsServers,
  CC_NATS_REPLICAS: whole(1, 5),
  CC_NATS_CREDENTIALS_DIR: path.optional(),
  CC_NATS_CA_FILE: path.optional(),
  CC_LEASE_DURATION_MS: durationMs,
  CC_RENEW_DEADLINE_MS: durationMs,
  CC_RETRY_PERIOD_MS: durationMs,
  CC_ARCHIVE_SCHEDULE: z
    .string()
    .regex(scheduleForm, 'takes a schedule of five fields such as 0 2 * * *')
    .transform(parseSchedule)
    .optional(),
  CC_ARCHIVE_KEEP: whole(1, maxArchiveCopies).default(defaultArchiveCopies),
  CC_SEGMENT_BYTES: bytes.optional(),
  CC_CHECKPOINT_BYTES: bytes.default(coreLimits.checkpointBytes),
  CC_UPKEEP_MS: durationMs.default(coreLimits.upkeepMs),
  CC_RETAINED_FRAMES: whole(0, 999_999_999).default(coreLimits.retainedFrames),
  CC_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  DELTA_CONFIG: path.default(configDirectory),
  CC_DATA_DIR: path.default(dataDirectory),
  CC_RUN_DIR: path.default(runDirectory),
  CC_KUBECONFIG: path.optional(),
});
type Environment = z.output<typeof environmentSchema>;

function shape(env: Environment) {
  return {
    cluster: env.CC_CLUSTER,
    namespace: env.CC_NAMESPACE,
    pod: env.CC_POD,
    podUid: env.CC_POD_UID,
    kind: env.CC_KIND,
    port: env.CC_PORT,
    durability: env.CC_DURABILITY,
    divergedMember: env.CC_DIVERGED_MEMBER,
    logLevel: env.CC_LOG_LEVEL,
    nats: {
      servers: env.CC_NATS_URL,
      replicas: env.CC_NATS_REPLICAS,
      /** Holds `username` and `password`, or `token`, or `nats.creds`. */
      credentialsDirectory: env.CC_NATS_CREDENTIALS_DIR ?? null,
      caFile: env.CC_NATS_CA_FILE ?? null,
    },
    election: {
      leaseDurationMs: env.CC_LEASE_DURATION_MS,
      renewDeadlineMs: env.CC_RENEW_DEADLINE_MS,
      retryPeriodMs: env.CC_RETRY_PERIOD_MS,
    },
    /** `null`: no copies are made. */
    archive: env.CC_ARCHIVE_SCHEDULE === undefined ? null : { schedule: env.CC_ARCHIVE_SCHEDULE, keep: env.CC_ARCHIVE_KEEP },
    /** How much is kept where: nobody needs to set it. */
    keeping: {
      /** `null`: as the journal has it. */
      segmentBytes: env.CC_SEGMENT_BYTES ?? null,
      checkpointBytes: env.CC_CHECKPOINT_BYTES,
      upkeepMs: env.CC_UPKEEP_MS,
      retainedFrames: env.CC_RETAINED_FRAMES,
    },
    dataDirectory: env.CC_DATA_DIR,
    runDirectory: env.CC_RUN_DIR,
    /** The order of the members (K5); a mounted ConfigMap that changes while the sidecar runs. */
    failoverFile: join(env.DELTA_CONFIG, 'failover.csv'),
    /** `null` in a pod: the mounted ServiceAccount is used. */
    kubeconfigFile: env.CC_KUBECONFIG ?? null,
  };
}

type DeepReadonly<T> = T extends (...given: never) => unknown
  ? T
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;
export type Config = DeepReadonly<ReturnType<typeof shape>>;

function deepFreeze<T extends object>(value: T): DeepReadonly<T> {
  for (const inner of Object.values(value) as unknown[]) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value) as DeepReadonly<T>;
}

/** Throws AppError invalid_configuration that names each wrong variable and never shows a value. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(
      ({ path: [name = ''], message }) => `${String(name)} ${Object.hasOwn(given, name) ? message : 'is not set'}`,
    );
    throw new AppError('invalid_configuration', wrong.join('; '));
  }
  const env = parsed.data;
  if (env.CC_LEASE_DURATION_MS <= env.CC_RENEW_DEADLINE_MS)
    throw new AppError('invalid_configuration', 'CC_LEASE_DURATION_MS must be greater than CC_RENEW_DEADLINE_MS');
  if (env.CC_RENEW_DEADLINE_MS <= env.CC_RETRY_PERIOD_MS)
    throw new AppError('invalid_configuration', 'CC_RENEW_DEADLINE_MS must be greater than CC_RETRY_PERIOD_MS');
  return deepFreeze(shape(env));
}
