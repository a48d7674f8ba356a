// The status of a ControlCluster: what the operator has seen, for people, for `kubectl wait`, and for the next reconciliation.
// Only the operator writes it. The high-water mark is the one part that decides something (I6); the rest can be observed anew.
import { z } from 'zod';
import { epochSchema } from './position.ts';
import { discardedSchema, highWaterMarkSchema, maxReportedDiscards, memberPhases } from './report.ts';

export const maxMembers = 7;
export const maxDisasterRecoveryReplicas = 8;

const clusterPhases = ['Pending', 'Gathering', 'Electing', 'Running', 'Degraded', 'Blocked'] as const;
export type ClusterPhase = (typeof clusterPhases)[number];
const conditionTypes = ['Available', 'Progressing', 'Degraded', 'GateOpen', 'MemberBlocked', 'DisasterRecoveryReady'] as const;
export type ConditionType = (typeof conditionTypes)[number];

const identifier = () => z.string().max(253);
const count = () => z.int().min(0);

const archive = discardedSchema.shape;
const discardedStatusSchema = z.object({
  id: archive.id.describe('Name of the archive at /v1/archives of the pod.'),
  kind: archive.kind.describe('diverged: the changes one by one. state: the state that they had made; they cannot be told apart any more.'),
  lastUid: archive.lastUid.describe('UID of the last change in it.'),
  firstUid: archive.firstUid.describe('UID of the first change in it.'),
  changes: archive.changes.describe('How many changes are in it.'),
});

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
  discarded: z
    .array(discardedStatusSchema)
    .max(2 * maxReportedDiscards)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['id'] })
    .describe('Changes that the pod gave up because the cluster does not have them: the newest archives on its volume.'),
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
  generation: count().optional().describe('Raised by each recovery and forced start; no leadership of a lower one counts any more.'),
  founding: z
    .array(
      z.object({
        pod: identifier().describe('Name of the pod.'),
        incarnation: z.string().max(32).describe('Id of its disk at that time.'),
      }),
    )
    .max(maxMembers)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['pod'] })
    .describe('The disks with which the cluster was founded. They count until the log names others.'),
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
