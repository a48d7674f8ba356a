// What a leader, or a candidate whose claim waits for its majority, says to all: where its log ends, what is acknowledged, and the round that reads wait for.
import type { Candidate, Leader } from './role.ts';
import type { Member } from './state.ts';

export function sendHeartbeat(m: Member, role: Leader | Candidate): void {
  role.heartbeatAtMs = m.now.nowMs;
  m.effects.push({
    kind: 'send',
    to: '*',
    message: {
      kind: 'heartbeat',
      from: m.config.pod,
      clusterId: m.log.clusterId ?? '',
      epoch: role.epoch,
      opened: role.kind === 'leader',
      round: role.kind === 'leader' ? role.round : 0,
      position: m.log.position(),
      acknowledged: m.log.position(m.acknowledgedIndex),
      baseIndex: m.log.baseIndex,
    },
  });
}
