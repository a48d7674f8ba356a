// The operator's configuration, from its environment: parsed once, relations included, then frozen.
import { z } from 'zod';
import { parseDurationMs } from '../common/duration.ts';
import { AppError } from '../common/errors.ts';
import { defaultSidecarResources, type SidecarSettings } from './resources/sidecar-container.ts';

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      try {
        return parseDurationMs(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
        return z.NEVER;
      }
    });

const quantities = z.record(z.string(), z.string()).optional();
const resourcesSchema = z.strictObject({ requests: quantities, limits: quantities });
const logLevel = () => z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info');

const environmentSchema = z
  .object({
    /** Where the operator runs, and keeps its Lease. */
    CC_NAMESPACE: z.string().min(1),
    /** Unique among the replicas: the name of the pod. */
    CC_IDENTITY: z.string().min(1),
    CC_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
    CC_LOG_LEVEL: logLevel(),
    CC_SIDECAR_IMAGE: z.string().min(1),
    CC_SIDECAR_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
    CC_SIDECAR_LOG_LEVEL: logLevel(),
    /** JSON, as in a container: `{"requests": {"cpu": "50m"}}`. */
    CC_SIDECAR_RESOURCES: z.string().optional(),
    CC_LEASE_DURATION: duration('15s'),
    CC_RENEW_DEADLINE: duration('10s'),
    CC_RETRY_PERIOD: duration('2s'),
  })
  .refine((env) => env.CC_LEASE_DURATION > env.CC_RENEW_DEADLINE && env.CC_RENEW_DEADLINE > env.CC_RETRY_PERIOD, {
    message: 'CC_LEASE_DURATION must be longer than CC_RENEW_DEADLINE, and that longer than CC_RETRY_PERIOD',
  });

export interface OperatorConfig {
  readonly namespace: string;
  readonly identity: string;
  /** Of /livez, /readyz and /metrics. */
  readonly port: number;
  readonly logLevel: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly sidecar: SidecarSettings;
}

/** Throws AppError invalid_configuration that names what is wrong. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): OperatorConfig {
  const { success, data: env, error } = environmentSchema.safeParse(environment);
  if (!success) throw new AppError('invalid_configuration', z.prettifyError(error));
  return Object.freeze({
    namespace: env.CC_NAMESPACE,
    identity: env.CC_IDENTITY,
    port: env.CC_PORT,
    logLevel: env.CC_LOG_LEVEL,
    leaseDurationMs: env.CC_LEASE_DURATION,
    renewDeadlineMs: env.CC_RENEW_DEADLINE,
    retryPeriodMs: env.CC_RETRY_PERIOD,
    sidecar: Object.freeze({
      sidecarImage: env.CC_SIDECAR_IMAGE,
      imagePullPolicy: env.CC_SIDECAR_PULL_POLICY,
      sidecarLogLevel: env.CC_SIDECAR_LOG_LEVEL,
      sidecarResources: env.CC_SIDECAR_RESOURCES === undefined ? defaultSidecarResources : parseResources(env.CC_SIDECAR_RESOURCES),
    }),
  });
}

function parseResources(text: string): SidecarSettings['sidecarResources'] {
  try {
    const { requests, limits } = resourcesSchema.parse(JSON.parse(text));
    return { ...(requests === undefined ? {} : { requests }), ...(limits === undefined ? {} : { limits }) };
  } catch (error) {
    throw new AppError('invalid_configuration', 'CC_SIDECAR_RESOURCES is not JSON with requests and limits.', error);
  }
}
