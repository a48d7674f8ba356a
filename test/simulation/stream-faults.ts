// What goes wrong with the stream and the connections to it. NATS itself promises to keep what it acknowledged; a disk below it may not.
import type { Act } from './fault-act.ts';
import { logSubject } from './stream-client.ts';
import type { FaultKind } from './swarm.ts';

export type StreamFault = Extract<
  FaultKind,
  | 'streamAway'
  | 'streamLeaderless'
  | 'streamLeaderChange'
  | 'streamLosesEnd'
  | 'streamLost'
  | 'streamPurged'
  | 'connectionLost'
  | 'readerStall'
>;

export const streamFaults: { readonly [Kind in StreamFault]: (act: Act) => void } = {
  streamAway: ({ world, whileLasts }) => {
    whileLasts(
      () => world.streams.stop(),
      () => world.streams.start(),
    );
  },
  streamLeaderless: ({ world, whileLasts }) => {
    whileLasts(
      () => world.streams.setLeader(false),
      () => world.streams.setLeader(true),
    );
  },
  streamLeaderChange: ({ world }) => world.streams.changeLeader(),
  streamLosesEnd: ({ world, chance }) => {
    const { log } = world.streams;
    const lost = 1 + chance.below(chance.pick([2, 5, 50]));
    log.loseEnd(Math.max(0, (log.content?.ends.lastSeq ?? 0) - lost));
    world.oracles.losses.streamLost();
  },
  streamLost: ({ world }) => {
    world.streams.log.remove();
    world.oracles.losses.streamLost();
  },
  // As an administrator might, who looks at no snapshot.
  streamPurged: ({ world, chance }) => {
    const { log } = world.streams;
    const { firstSeq, lastSeq } = log.content?.ends ?? { firstSeq: 0, lastSeq: 0 };
    log.purge(firstSeq + 1 + chance.below(Math.max(1, lastSeq - firstSeq + 2)), logSubject);
    world.oracles.losses.streamLost();
  },
  connectionLost: ({ host }) => host.process?.streams.disconnect(),
  readerStall: ({ world, host, chance }) => host.process?.streams.stall(chance.between(100, 2 * world.swarm.faultLastsMs)),
};
