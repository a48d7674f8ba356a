// The ControlCluster resource: one schema from which come the CRD in crds/, its validation rules, `kubectl explain`, and the types of both programs.
// The API server fills defaults and enforces the rules (CEL); `controlClusterSchema` parses what it delivers and fills the same defaults.
// It does not judge the user's pod template beyond reserved names: the API server does when pods are made, operator/resources before that.
// Longer than other files because it is the manual of the resource too, read from top to bottom.
import { z } from 'zod';
import { apiVersion, dataVolume, kind, sidecarContainer } from './names.ts';
import { epochSchema } from './position.ts';
import { highWaterMarkSchema, memberPhases } from './report.ts';

export const maxMembers = 7;
export const maxDisasterRecoveryReplicas = 8;
/** Leaves room for what Kubernetes appends to it in pod names, labels and DNS names (63 characters each). */
export const maxNameLength = 40;

/** A rule that the API server enforces on a field; `message` says what to do. */
const rules = (...list: { rule: string; message?: string; messageExpression?: string }[]) => ({ 'x-kubernetes-validations': list });

/** Text of a form, which the API server checks as a rule: a bare `pattern` would answer with the expression, not with what to do. */
function form(expression: RegExp, message: string, maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .regex(expression, message)
    .meta(rules({ rule: `self.matches(${JSON.stringify(expression.source)})`, message }));
}

const durationForm = /^[1-9][0-9]{0,5}(ms|s|m|h)$/;
const duration = () => form(durationForm, 'must be a whole number with the unit ms, s, m or h, such as 500ms, 6s or 5m', 10);

/** Milliseconds of a duration of the schema. Throws a RangeError for any other text. */
export function parseDurationMs(text: string): number {
  const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
  const match = durationForm.exec(text);
  if (match === null) throw new RangeError(`${text} is not a duration such as 500ms, 6s or 5m`);
  return Number.parseInt(text, 10) * unitMs[match[1] as keyof typeof unitMs];
}

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

const startupSchema = z.object({
  policy: z
    .enum(['All', 'Quorum'])
    .default('All')
    .describe(
      'When a cluster without a leader may start. All: every member has reported, so that the most advanced log leads. Quorum: a majority has, once the timeout is over.',
    ),
  timeout: duration()
    .default('5m')
    .describe(
      'How long the policy Quorum waits for all members before a majority is enough, for example 5m. The policy All waits without end.',
    ),
  divergedMember: z
    .enum(['Archive', 'Block'])
    .default('Archive')
    .describe(
      'What a starting member does whose log has parted from that of a leader that is at least as far. Archive: it sets its own changes aside in an archive and follows. Block: it waits for a person.',
    ),
});

const electionForm = durationForm.source;
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
        rule: `![self.leaseDuration, self.renewDeadline, self.retryPeriod].all(d, d.matches(${JSON.stringify(electionForm)})) || (duration(self.leaseDuration) > duration(self.renewDeadline) && duration(self.renewDeadline) > duration(self.retryPeriod))`,
        message:
          'leaseDuration must be longer than renewDeadline, and renewDeadline longer than retryPeriod; the defaults are 6s, 4s and 1s',
      },
      {
        rule: `!self.leaseDuration.matches(${JSON.stringify(electionForm)}) || (duration(self.leaseDuration) >= duration('1s') && duration(self.leaseDuration) <= duration('10m'))`,
        message: 'leaseDuration must be between 1s and 10m',
      },
      {
        rule: `!self.retryPeriod.matches(${JSON.stringify(electionForm)}) || duration(self.retryPeriod) >= duration('100ms')`,
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
            message: 'annotations below controlcluster.io/ are commands to one pod; annotate the pod, not the template',
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
        `!e.name.startsWith('${dataVolume.slice(0, dataVolume.indexOf('-') + 1)}')`,
        'volume names that begin with controlcluster- belong to the sidecar; choose another name',
      ),
    })
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional()
    .describe('A pod specification, as in a Deployment. The sidecar is added to it. Without containers the pod runs the sidecar alone.'),
});

export const controlClusterSpecSchema = z.object({
  members: z
    .int()
    .min(1)
    .max(maxMembers)
    .default(3)
    .meta(
      rules({
        rule: 'self == oldSelf',
        message:
          'members cannot be changed yet: a safe change of the majority has to go through the log; create another ControlCluster and copy the state',
      }),
    )
    .describe('How many members can lead and count for the majority, 1 to 7; take an odd number. Fixed once the cluster exists.'),
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
  template: templateSchema.prefault({}).describe('The pod of your control process. May be left out: then the pods run the sidecar alone.'),
});
export type ControlClusterSpec = z.output<typeof controlClusterSpecSchema>;

export const clusterPhases = ['Pending', 'Gathering', 'Electing', 'Running', 'Degraded', 'Blocked'] as const;
export type ClusterPhase = (typeof clusterPhases)[number];
export const conditionTypes = ['Available', 'Progressing', 'Degraded', 'GateOpen', 'MemberBlocked', 'DisasterRecoveryReady'] as const;
export type ConditionType = (typeof conditionTypes)[number];

const identifier = () => z.string().max(253);
const count = () => z.int().min(0);

const memberStatusSchema = z.object({
  name: identifier().describe('Name of the pod.'),
  role: z.enum(['leader', 'follower', 'dr', 'none']).describe('What the pod does now; none while it neither leads nor follows.'),
  phase: z.enum([...memberPhases, 'Absent']).describe('What the pod says of itself; Absent when there is no current report.'),
  uid: count().optional().describe('UID of the last change in its journal.'),
  epoch: count().optional().describe('Number of the leadership from which its last change comes.'),
  lag: count().optional().describe('Changes that the leader has and it does not.'),
  ready: z.boolean().describe('It leads, or follows in sync.'),
  reason: z.string().max(64).optional().describe('Why it is not ready, in one word.'),
  message: z.string().max(1024).optional().describe('Why it is not ready, with the evidence and what to do.'),
});
export type MemberStatus = z.output<typeof memberStatusSchema>;

const conditionSchema = z.object({
  type: z.enum(conditionTypes).describe('What the condition is about.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  observedGeneration: count().optional().describe('Generation of the specification that was judged.'),
  lastTransitionTime: z.iso.datetime().describe('When status last changed.'),
  reason: z.string().max(64).describe('Why, in one word.'),
  message: z.string().max(4096).describe('Why, with the evidence and what to do.'),
});
export type Condition = z.output<typeof conditionSchema>;

const epoch = epochSchema.shape;
const mark = highWaterMarkSchema.shape;
const markSchema = z.object({
  epoch: z
    .object({
      generation: epoch.generation.describe('Raised only when a person forces a start, or by a recovery.'),
      number: epoch.number.describe('Counts the leaderships of a generation.'),
      nonce: epoch.nonce.describe('Tells two claims of one number apart.'),
    })
    .describe('The leadership that made the change.'),
  uid: mark.uid.describe('UID of the change.'),
  index: mark.index.describe('Place of its frame in the log.'),
  hash: mark.hash.describe('Chain hash of the log at that frame.'),
});

export const controlClusterStatusSchema = z.object({
  observedGeneration: count().optional().describe('Generation of the specification that this status is about.'),
  phase: z.enum(clusterPhases).optional().describe('The state of the cluster in one word; the conditions say why.'),
  leader: identifier().optional().describe('Pod that leads.'),
  epoch: count().optional().describe('Number of the present leadership.'),
  uid: count().optional().describe('UID of the highest change known to be acknowledged. It only grows.'),
  highWaterMark: markSchema.optional().describe('That change by its place in the log and its hash. No cluster opens whose log lacks it.'),
  clusterId: identifier().optional().describe('Identity of the log. A journal with another one is not let in.'),
  replicas: count().optional().describe('Members that exist as pods.'),
  ready: z.string().max(16).optional().describe('Members that lead or follow in sync, of all members.'),
  disasterRecoveryReady: z.string().max(16).optional().describe('Disaster-recovery replicas that follow in sync, of all of them.'),
  selector: z.string().max(512).optional().describe('Label selector of the member pods, for the scale subresource.'),
  startup: z
    .object({
      round: count().describe('Number of the last start round.'),
      expected: count().describe('Members that it waits for.'),
      present: count().describe('Members that have reported.'),
      openedAt: z.iso.datetime().optional().describe('When the round opened.'),
      spreadMs: count().optional().describe('Milliseconds between the first and the last start of your containers in this round.'),
    })
    .optional()
    .describe('The last common start.'),
  members: z
    .array(memberStatusSchema)
    .max(maxMembers + maxDisasterRecoveryReplicas)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
    .describe('Each pod: what it is, how far it is, and why it is not ready.'),
  conditions: z
    .array(conditionSchema)
    .max(16)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .describe('What holds and what does not, each with reason and message.'),
});
export type ControlClusterStatus = z.output<typeof controlClusterStatusSchema>;

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

/** Parses what the API server delivers; unknown fields are dropped, defaults filled. */
export const controlClusterSchema = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal(kind),
  metadata: metadataSchema,
  spec: controlClusterSpecSchema,
  status: controlClusterStatusSchema.optional(),
});
export type ControlCluster = z.output<typeof controlClusterSchema>;

/** Settings that are allowed but seldom meant. There is no webhook that could warn at once: the operator says them as Events. */
export function warningsFor(spec: ControlClusterSpec): { readonly reason: string; readonly message: string }[] {
  const warnings: { reason: string; message: string }[] = [];
  if (spec.members % 2 === 0)
    warnings.push({
      reason: 'EvenMembers',
      message: `${String(spec.members)} members survive the loss of no more of them than ${String(spec.members - 1)} do; take an odd number.`,
    });
  if (spec.replication.durability === 'Leader')
    warnings.push({
      reason: 'LeaderDurability',
      message: 'With durability Leader a fail-over may lose acknowledged changes; Quorum does not.',
    });
  return warnings;
}
