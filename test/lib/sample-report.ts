// What a member says of itself that waits for its first start round.
import { emptyPosition, noEpoch } from '../../common/position.ts';
import type { MemberReport } from '../../common/report.ts';

export const reportOf = (pod: string, session: string): MemberReport => ({
  version: 1,
  pod,
  podUid: 'uid',
  session,
  role: 'member',
  incarnation: 'disk',
  voter: false,
  configurations: [],
  phase: 'Waiting',
  clusterId: null,
  promise: noEpoch,
  position: emptyPosition,
  acknowledged: null,
  eligible: false,
  leader: null,
  lag: 0,
  address: `${pod}:5000`,
  sidecarVersion: '0',
});
