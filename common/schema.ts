// The ControlCluster resource: one schema from which come the CRD in crds/, its validation rules, `kubectl explain`, and the types of both programs.
// The API server fills defaults and enforces the rules (CEL); `controlClusterSchema` parses what it delivers and fills the same defaults.
// It does not judge the user's pod template beyond reserved names: the API server does when pods are made, operator/resources before that.
import { z } from 'zod';
import { archiveSchema } from './archive.ts';
import { durationForm } from './duration.ts';
import { apiVersion, kind, sidecarContainer } from './names.ts';
import { controlClusterStatusSchema, maxDisasterRecoveryReplicas, maxMembers } from './status.ts';
import { form, rules } from './validation.ts';

/** Leaves room for what Kubernetes appends to it in pod names, labels and DNS names (63 characters each). */
const maxNameLength = 40;

/** Volumes of the sidecar are named so. */
export const ownVolumePrefix = 'controlcluster-';

const duration = () => form(durationForm, 'must be a whole number with the unit ms, s, m or h, such as 500ms, 6s or 5m', 10);

/** A part of the Kubernetes API that is handed on as it is. */
const handedOn = () => z.looseObject({}).meta({ 'x-kubernetes-preserve-unknown-fields': true });
const objectName = () =>
  form(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be the name of an object: lower-case letters, digits, - and .', 253);
const keyForm = () => z.record(z.string().max(317), z.string().max(63)).meta({ maxProperties: 32 });

const disasterRecoverySchema = z.object({
  replicas: z
    .int()
    .min(0)
    .max(maxDisasterRecoveryReplicas)
    .default(1)
    .describe('How many disaster-recovery replicas. May be changed at any time.'),
  nodeSelector: keyForm()
    .optional()
    .describe('Labels of the nodes that may run disaster-recovery replicas, for example those of another region.'),
  tolerations: z
    .array(handedOn())
    .max(32)
    .optional()
    .describe('Taints that disaster-recovery replicas tolerate, added to those of template.spec.'),
  affinity: handedOn().optional().describe('Affinity of the disaster-recovery replicas, in place of that of template.spec.'),
  topologySpreadConstraints: z
    .array(handedOn())
    .max(16)
    .optional()
    .describe('How disaster-recovery replicas are spread, in place of what template.spec says. Default: over hostnames, when possible.'),
});

const isDuration = `matches(${JSON.stringify(durationForm.source)})`;
const startupSchema = z
  .object({
    policy: z
      .enum(['All', 'Quorum'])
      .default('All')
      .describe(
        'When a cluster without a leader may start. All: every member has reported, so that the most advanced log leads. Quorum: a majority has, once the timeout is over.',
      ),
    timeout: duration()
      .default('5m')
      .describe('How long the policy Quorum waits for all until a majority is enough, 1s to 24h. The policy All waits without end.'),
    divergedMember: z
      .enum(['Archive', 'Block'])
      .default('Archive')
      .describe(
        'What a starting member does whose log has parted from that of a leader that is at least as far. Archive: it sets its own changes aside in an archive and follows. Block: it waits for a person.',
      ),
  })
  .meta(
    rules({
      rule: `!self.timeout.${isDuration} || (duration(self.timeout) >= duration('1s') && duration(self.timeout) <= duration('24h'))`,
      message: 'timeout must be between 1s and 24h; to wait for all members without end, take the policy All',
    }),
  );

const electionSchema = z
  .object({
    leaseDuration: duration()
      .default('6s')
      .describe('How long others leave a silent leader its Lease, 1s to 10m. Longer than renewDeadline.'),
    renewDeadline: duration()
      .default('4s')
      .describe('How long a leader tries to renew its Lease before it counts it as lost. Longer than retryPeriod.'),
    retryPeriod: duration().default('1s').describe('How often the Lease is renewed or tried for, at least 100ms.'),
  })
  .meta(
    rules(
      {
        rule: `![self.leaseDuration, self.renewDeadline, self.retryPeriod].all(d, d.${isDuration}) || (duration(self.leaseDuration) > duration(self.renewDeadline) && duration(self.renewDeadline) > duration(self.retryPeriod))`,
        message:
          'leaseDuration must be longer than renewDeadline, and renewDeadline longer than retryPeriod; the defaults are 6s, 4s and 1s',
      },
      {
        rule: `!self.leaseDuration.${isDuration} || (duration(self.leaseDuration) >= duration('1s') && duration(self.leaseDuration) <= duration('10m'))`,
        message: 'leaseDuration must be between 1s and 10m',
      },
      {
        rule: `!self.retryPeriod.${isDuration} || duration(self.retryPeriod) >= duration('100ms')`,
        message: 'retryPeriod must be at least 100ms',
      },
    ),
  );

const natsSchema = z.object({
  url: form(
    /^(nats|tls):\/\/[^\s@/?#]+$/,
    'must be nats://host:port or tls://host:port; name and password belong into the Secret of credentialsSecret',
    512,
  ).describe('Address of the NATS servers, nats://host:port, or tls://host:port for encryption. They need JetStream.'),
  replicas: z
    .int()
    .default(1)
    .meta(rules({ rule: 'self in [1, 3, 5]', message: 'must be 1, 3 or 5, and not more than there are NATS servers' }))
    .describe('How many NATS servers keep a copy of the stream: 1, 3 or 5, at most as many as there are.'),
  credentialsSecret: objectName()
    .optional()
    .describe(
      'Name of a Secret in the same namespace with username and password, with token, or with nats.creds. Left out: the servers ask for none.',
    ),
  tlsSecret: objectName()
    .optional()
    .describe('Name of a Secret in the same namespace whose ca.crt verifies the servers. Left out: the well-known authorities do.'),
});

const replicationSchema = z.object({
  durability: z
    .enum(['Quorum', 'Leader'])
    .default('Quorum')
    .describe(
      'When a change is acknowledged. Quorum: a majority of the members has it on disk. Leader: the leader has it on disk and NATS has taken it; faster, but a fail-over may lose acknowledged changes.',
    ),
  nats: natsSchema.describe('The NATS JetStream servers that order and carry the changes.'),
});

const storageSchema = z
  .object({
    size: form(/^[1-9][0-9]{0,8}(M|G|T|Mi|Gi|Ti)$/, 'must be a size such as 512Mi or 10Gi', 12)
      .default('10Gi')
      .describe('Size of the volume of each pod, for example 10Gi. Fixed once the cluster exists.'),
    storageClassName: z
      .string()
      .max(253)
      .default('')
      .describe('StorageClass of the volumes. Empty: the default class of this Kubernetes. Fixed once the cluster exists.'),
  })
  .meta(
    rules(
      {
        rule: 'self.size == oldSelf.size',
        message:
          'storage.size cannot be changed: enlarge the PersistentVolumeClaims controlcluster-data-<pod> instead, where their StorageClass allows it',
      },
      {
        rule: 'self.storageClassName == oldSelf.storageClassName',
        message:
          'storage.storageClassName cannot be changed: volumes do not move between classes; create another ControlCluster and copy the state',
      },
    ),
  );

const namedList = (description: string, rule: string, message: string) =>
  z
    .array(
      z
        .looseObject({ name: z.string().max(63).optional().describe('Name, unique in the pod.') })
        .meta({ 'x-kubernetes-preserve-unknown-fields': true }),
    )
    .max(64)
    .optional()
    .meta(rules({ rule: `self.all(e, !has(e.name) || ${rule})`, message }))
    .describe(description);
const containerRule = [
  `e.name != '${sidecarContainer}'`,
  `the container name ${sidecarContainer} belongs to the sidecar; choose another name`,
] as const;
const ownKey = `k == 'controlcluster.io' || k.startsWith('controlcluster.io/')`;

const templateSchema = z.object({
  metadata: z
    .object({
      labels: keyForm()
        .meta(
          rules({
            rule: `!self.exists(k, ${ownKey})`,
            message: 'labels below controlcluster.io/ are set by the operator; remove them from the template',
          }),
        )
        .optional()
        .describe('Labels of the pods, beside those that the operator sets.'),
      annotations: z
        .record(z.string().max(317), z.string().max(8192))
        .meta({ maxProperties: 64 })
        .meta(
          rules({
            rule: `!self.exists(k, ${ownKey})`,
            message: 'annotations below controlcluster.io/ belong to the operator; choose another prefix',
          }),
        )
        .optional()
        .describe('Annotations of the pods.'),
    })
    .optional()
    .describe('Labels and annotations of the pods.'),
  spec: z
    .looseObject({
      containers: namedList(
        'The containers of your control process. They start once their member leads or follows in sync.',
        ...containerRule,
      ),
      initContainers: namedList('Init containers, started after the sidecar and after its member is in sync.', ...containerRule),
      volumes: namedList(
        'Volumes of the pod.',
        `!e.name.startsWith('${ownVolumePrefix}')`,
        `volume names that begin with ${ownVolumePrefix} belong to the sidecar; choose another name`,
      ),
    })
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional()
    .describe('A pod specification, as in a Deployment. The sidecar is added to it. Without containers the pod runs the sidecar alone.'),
});

const controlClusterSpecSchema = z.object({
  members: z
    .int()
    .min(1)
    .max(maxMembers)
    .default(3)
    .describe(
      'How many members can lead and count for the majority, 1 to 7; take an odd number. May be changed: members come and go one at a time, and a pod that is to go stays until it counts no more.',
    ),
  preferredLeader: z
    .string()
    .max(63)
    .optional()
    .describe(
      'Pod that leads when several members are equally advanced: <name>-0 to <name>-<members - 1>. Default: <name>-0. It stands first in failover.csv.',
    ),
  disasterRecovery: disasterRecoverySchema
    .prefault({ replicas: 0 })
    .describe('Replicas that follow and never lead: a copy of the state in another place. None by default.'),
  port: z.int().min(1024).max(65_535).default(5000).describe('Port of the Process API in each pod and on the Services.'),
  startup: startupSchema.prefault({}).describe('How a cluster starts that has no leader, and how a member joins.'),
  election: electionSchema.prefault({}).describe('Timing of the election of the leader.'),
  replication: replicationSchema.describe('How changes reach the members.'),
  storage: storageSchema
    .prefault({})
    .describe('The volume of each pod, which holds its journal. Volumes are kept when the ControlCluster is deleted.'),
  archive: archiveSchema
    .optional()
    .describe('Compressed copies of the state, made on schedule on the volume of each pod. None when left out.'),
  template: templateSchema.prefault({}).describe('The pod of your control process. May be left out: then the pods run the sidecar alone.'),
});
export type ControlClusterSpec = z.output<typeof controlClusterSpecSchema>;

const metadataSchema = z.looseObject({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  generation: z.int().optional(),
  resourceVersion: z.string().optional(),
  creationTimestamp: z.coerce.date().optional(),
  deletionTimestamp: z.coerce.date().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const ordinals = JSON.stringify(Array.from({ length: maxMembers }, (_, ordinal) => String(ordinal)));
/** Names that are not for a cluster, since objects of another may have them. */
const suffixes = ['-dr', '-followers', '-members'];
/** Parses what the API server delivers; unknown fields are dropped, defaults filled. */
export const controlClusterSchema = z
  .object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: metadataSchema,
    spec: controlClusterSpecSchema.describe('What the cluster shall be.'),
    status: controlClusterStatusSchema.optional().describe('What the operator has seen of it.'),
  })
  .meta(
    rules(
      {
        fieldPath: '.metadata.name',
        rule: `self.metadata.name.matches('^[a-z]([-a-z0-9]{0,${String(maxNameLength - 2)}}[a-z0-9])?$')`,
        message: `must be a DNS label of at most ${String(maxNameLength)} characters: lower-case letters, digits and -, a letter first`,
      },
      {
        fieldPath: '.metadata.name',
        rule: `![${suffixes.map((suffix) => `'${suffix}'`).join(', ')}].exists(s, self.metadata.name.endsWith(s))`,
        message: `must not end in ${suffixes.join(', ')}: another cluster's objects may have that name`,
      },
      {
        fieldPath: '.spec.preferredLeader',
        // Without string(): it makes the estimated cost of a rule boundless.
        rule: `!has(self.spec.preferredLeader) || ${ordinals}.exists(i, int(i) < self.spec.members && self.spec.preferredLeader == self.metadata.name + '-' + i)`,
        messageExpression: `'must be a member, ' + self.metadata.name + '-0 to ' + self.metadata.name + '-' + ${ordinals}[self.spec.members - 1]`,
      },
    ),
  )
  .describe('A cluster of a control process: an elected leader, followers with the same state, and replicas for disaster recovery.');
export type ControlCluster = z.output<typeof controlClusterSchema>;
