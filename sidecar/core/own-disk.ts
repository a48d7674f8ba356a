// Which disk this is (ADR 10): the one that took part before, or another in its place. A disk that forgot what it promised must not count under the old name.
// Until the member Lease holds the session of this process, this member follows and nothing that it says counts.
import { compareEpochs, comparePositions, type Position } from '../../common/position.ts';
import type { DiskRecord, HardState } from './hard-state.ts';
import { note, persistHardState, type Member } from './state.ts';

/** The disk is the one of which the record tells; without a record there is nothing to doubt. */
export function isRecorded(disk: HardState, position: Position, record: DiskRecord | null): boolean {
  if (disk.incarnation === '') return false;
  if (record === null) return true;
  const knowsSession = record.session === disk.session || record.session === disk.recordedSession;
  return knowsSession && comparePositions(position, record.position) >= 0 && compareEpochs(disk.promise, record.promise) >= 0;
}

/** The API server has told what the member Lease holds. The answer to it is durable before the Lease is written. */
export function onRecorded(m: Member, record: DiskRecord | null): void {
  if (m.disk !== 'unverified') return;
  // What this process found counts, not how far it has come since.
  const { promise, position } = m.opened;
  const same = isRecorded({ ...m.hardState, promise }, position, record);
  if (!same) {
    const evidence = { incarnation: m.now.nonce, uid: position.uid, recordedUid: record?.position.uid ?? null };
    note(m, record === null ? 'info' : 'warn', record === null ? 'disk is new' : 'disk is not the one that took part before', evidence);
  }
  m.disk = 'writing';
  m.hardState = {
    promise: m.promise,
    incarnation: same ? m.hardState.incarnation : m.now.nonce,
    session: m.config.session,
    recordedSession: record?.session ?? '',
  };
  persistHardState(m, () => {
    m.disk = 'registering';
  });
}

/** The member Lease holds what the process of this session says. */
export function onReported(m: Member, session: string): void {
  if (m.disk === 'registering' && session === m.config.session) m.disk = 'registered';
}
