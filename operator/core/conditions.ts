// The conditions of a ControlCluster: what holds, why, and what to do. Texts hold no counters that change by themselves, so that an idle cluster costs no write.
import type { Condition, ConditionType } from '../../common/status.ts';
import type { Judgement } from './judgement.ts';
import type { MemberView, Observed } from './observed.ts';
import { clip, podProblem, whyNotReady, type Why } from './why.ts';

const maxMessageLength = 4096;

type Verdict = Pick<Condition, 'status' | 'reason' | 'message'>;

const verdict = (holds: boolean | null, reason: string, message: string): Verdict => ({
  status: holds === null ? 'Unknown' : holds ? 'True' : 'False',
  reason: clip(reason, 64),
  message: clip(message, maxMessageLength),
});

/** Every condition, with the time of its last transition carried over from the status before. */
export function conditionsOf(observed: Observed, judgement: Judgement): Condition[] {
  const { cluster, nowMs } = observed;
  const verdicts: Record<ConditionType, Verdict> = {
    Available: available(judgement),
    Progressing: progressing(judgement),
    Degraded: degraded(judgement),
    GateOpen: gateOpen(observed, judgement),
    MemberBlocked: memberBlocked(judgement),
    DisasterRecoveryReady: disasterRecoveryReady(judgement),
  };
  return (Object.entries(verdicts) as [ConditionType, Verdict][]).map(([type, next]) => {
    const before = cluster.status?.conditions?.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === next.status ? before.lastTransitionTime : new Date(nowMs).toISOString();
    return { type, ...next, observedGeneration: cluster.metadata.generation ?? 0, lastTransitionTime };
  });
}

/** Not ready, or with a container that does not run: each with its reason. */
export function troubles(members: readonly MemberView[]): { readonly member: MemberView; readonly why: Why }[] {
  return members.flatMap((member) => {
    const why = whyNotReady(member) ?? (member.pod === null ? null : podProblem(member.pod));
    return why === null ? [] : [{ member, why }];
  });
}

const say = (name: string, { reason, message }: Why): string => `${name} (${reason}: ${message})`;

function available({ leadership }: Judgement): Verdict {
  switch (leadership.kind) {
    case 'led':
      return leadership.open
        ? verdict(true, 'LeaderIsOpen', `${leadership.pod} leads and takes changes.`)
        : verdict(false, 'LeaderNotOpen', `${leadership.pod} holds the leader Lease and has not opened yet.`);
    case 'free':
      return verdict(false, 'NoLeader', 'Nobody holds the leader Lease. The condition GateOpen says what is waited for.');
    case 'expired':
      return verdict(false, 'LeaderSilent', `${leadership.pod} holds the leader Lease and does not renew it.`);
    case 'gone':
      return verdict(false, 'LeaderGone', `The leader has ended: ${leadership.evidence}.`);
  }
}

function progressing({ paused, hindrance, rollout }: Judgement): Verdict {
  if (paused)
    return verdict(
      false,
      'Paused',
      'The annotation controlcluster.io/paused keeps the operator from changing anything. Remove it to go on.',
    );
  if (hindrance !== null) return verdict(false, hindrance.reason, hindrance.message);
  return rollout.kind === 'settled'
    ? verdict(false, 'Settled', 'All objects are as the specification wants them.')
    : verdict(true, 'RollingOut', rollout.message);
}

function degraded({ members }: Judgement): Verdict {
  const found = troubles(members);
  if (found.length === 0) return verdict(false, 'AllReady', 'All members and disaster-recovery replicas are ready.');
  return verdict(true, 'NotReady', `Not ready: ${found.map(({ member, why }) => say(member.name, why)).join('; ')}`);
}

/** The gate before the start of the user's containers: what it waits for, pod by pod, in their own words. */
function gateOpen({ cluster }: Observed, { start }: Judgement): Verdict {
  switch (start.kind) {
    case 'notNeeded':
      return verdict(true, 'Open', 'Members join the leader, or elect one among themselves.');
    case 'open':
      return verdict(
        true,
        'RoundOpen',
        `Start round ${String(start.round.number)} opens with ${String(start.round.counted.length)} members; ${start.round.designated} is to lead.`,
      );
    case 'refused':
      return verdict(false, start.reason, start.message);
    case 'gathering': {
      if (start.missing.length === 0) return verdict(false, 'Gathering', 'All members are there; waits for the leader Lease to be made.');
      const { policy, timeout } = cluster.spec.startup;
      const hint = policy === 'Quorum' ? ` After ${timeout} a majority is enough.` : '';
      const missing = start.missing.map((member) =>
        say(member.name, whyNotReady(member) ?? { reason: member.report?.phase ?? 'NoReport', message: 'it does not wait for a start' }),
      );
      return verdict(
        false,
        'Gathering',
        `Waits for ${String(missing.length)} of ${String(cluster.spec.members)} members: ${missing.join('; ')}${hint}`,
      );
    }
  }
}

function memberBlocked({ members }: Judgement): Verdict {
  const blocked = members.filter((member) => member.live && member.report?.phase === 'Blocked');
  if (blocked.length === 0) return verdict(false, 'NoneBlocked', 'No member is blocked.');
  const texts = blocked.map((member) => say(member.name, whyNotReady(member) ?? { reason: 'Blocked', message: '' }));
  return verdict(true, 'Blocked', texts.join('; '));
}

function disasterRecoveryReady({ members }: Judgement): Verdict {
  const replicas = members.filter((member) => member.kind === 'dr');
  if (replicas.length === 0) return verdict(null, 'NoneWanted', 'spec.disasterRecovery.replicas is 0.');
  const found = troubles(replicas);
  return found.length === 0
    ? verdict(true, 'AllFollow', 'All disaster-recovery replicas follow in sync.')
    : verdict(false, 'NotReady', `Not ready: ${found.map(({ member, why }) => say(member.name, why)).join('; ')}`);
}
