// The user's pod template, as far as the sidecar has to live with it in one pod. What cannot be joined is refused with what to do;
// what is merely wrong as a pod is left to the API server, whose answer the operator passes on.
// Reserved names of containers and volumes are refused earlier, by rules of the resource itself.
import type { V1Container, V1PodSecurityContext, V1PodSpec } from '@kubernetes/client-node';
import { z } from 'zod';
import { configDirectory, dataDirectory, runDirectory } from '../../common/names.ts';
import { ownVolumePrefix } from '../../common/schema.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { processPortName } from './service.ts';

const container = z.looseObject({
  name: z.string().min(1),
  env: z.array(z.looseObject({ name: z.string() })).optional(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).optional(),
  ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: z.int(), protocol: z.string().optional() })).optional(),
});

const podSpec = z.looseObject({
  containers: z.array(container).default([]),
  initContainers: z.array(container).default([]),
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  tolerations: z.array(z.looseObject({})).default([]),
  topologySpreadConstraints: z.array(z.looseObject({})).optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  securityContext: z.looseObject({}).optional(),
  affinity: z.looseObject({}).optional(),
});

/** A model of the client library as the plain object that it is. */
export type Plain<T> = Pick<T, keyof T>;
/** A pod specification whose lists are there to be added to. */
export type UserPodSpec = Omit<V1PodSpec, 'containers' | 'initContainers' | 'securityContext'> & {
  readonly containers: Plain<V1Container>[];
  readonly initContainers: Plain<V1Container>[];
  readonly securityContext?: Plain<V1PodSecurityContext>;
};
export interface Invalid {
  /** For a condition: one CamelCase word. */
  readonly reason: string;
  /** Which field, why, and what to do. */
  readonly message: string;
}

/** Fields of a pod that decide what the sidecar lives on; set by the operator alone. */
const reservedFields: readonly { readonly field: keyof V1PodSpec; readonly reason: string; readonly message: string }[] = [
  {
    field: 'hostNetwork',
    reason: 'HostNetwork',
    message: 'the Process API trusts loopback, which hostNetwork shares with the node; remove it',
  },
  {
    field: 'serviceAccountName',
    reason: 'ServiceAccountSet',
    message: 'the pods run under ServiceAccounts of the operator; remove it, and bind the Roles you need to those',
  },
  {
    field: 'serviceAccount',
    reason: 'ServiceAccountSet',
    message: 'the pods run under ServiceAccounts of the operator; remove it, and bind the Roles you need to those',
  },
  { field: 'schedulingGroup', reason: 'SchedulingGroupSet', message: 'the operator schedules the members as one group; remove it' },
];

export function parseTemplate(cluster: ControlCluster): { readonly template: UserPodSpec } | { readonly invalid: Invalid } {
  const parsed = podSpec.safeParse(cluster.spec.template.spec ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const message = `${fieldName(issue?.path ?? [])} is not what a pod has there (${issue?.message ?? 'invalid'}); correct it`;
    return { invalid: { reason: 'InvalidTemplate', message } };
  }
  // The API server checks the rest of it against the very type when the StatefulSet is applied.
  const template = parsed.data as unknown as UserPodSpec;
  const invalid = reservedField(template) ?? containerConflict(cluster, template);
  return invalid === undefined ? { template } : { invalid };
}

const fieldName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (name, key) => (typeof key === 'number' ? `${name}[${String(key)}]` : `${name}.${String(key)}`),
    'spec.template.spec',
  );

function reservedField(template: UserPodSpec): Invalid | undefined {
  const taken = reservedFields.find(({ field }) => Boolean(template[field]));
  return taken && { reason: taken.reason, message: `${fieldName([taken.field])}: ${taken.message}` };
}

function containerConflict(cluster: ControlCluster, template: UserPodSpec): Invalid | undefined {
  const lists = { containers: template.containers, initContainers: template.initContainers };
  for (const [list, containers] of Object.entries(lists))
    for (const [at, { ports = [], volumeMounts = [] }] of containers.entries()) {
      const port = ports.findIndex((each) => each.containerPort === cluster.spec.port && (each.protocol ?? 'TCP') === 'TCP');
      if (port >= 0)
        return taken(
          fieldName([list, at, 'ports', port]),
          'PortTaken',
          `${String(cluster.spec.port)} is the port of the Process API; choose another, here or in spec.port`,
        );
      const named = ports.findIndex((each) => each.name === processPortName);
      if (named >= 0)
        return taken(
          fieldName([list, at, 'ports', named, 'name']),
          'PortNameTaken',
          `${processPortName} is the port of the Process API, which the Services find by this name; choose another`,
        );
      const mount = volumeMounts.findIndex(
        (each) => each.name.startsWith(ownVolumePrefix) || ownDirectories.some((own) => covers(own, each.mountPath)),
      );
      if (mount >= 0)
        return taken(
          fieldName([list, at, 'volumeMounts', mount]),
          'MountTaken',
          `it takes the place of a volume of the sidecar; mount another volume, and outside of ${ownDirectories.join(', ')}`,
        );
    }
  return undefined;
}

const ownDirectories: readonly string[] = [configDirectory, runDirectory, dataDirectory];
/** The directory itself or a place below it. */
const covers = (directory: string, path: string): boolean => `${path}/`.replace(/\/+/g, '/').startsWith(`${directory}/`);
const taken = (field: string, reason: string, message: string): Invalid => ({ reason, message: `${field}: ${message}` });
