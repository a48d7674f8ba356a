// Looks at one member before and after each input, and tells each change of its states: role and stage, join state, disk.
// It judges nothing; which changes there are is listed in transitions.ts. What a member says of itself, its phase, is not looked at here.
import type { Member } from '../../sidecar/core/state.ts';
import type { Runtime } from '../../sidecar/runtime.ts';

interface Standing {
  /** A candidate is where its candidacy is. */
  readonly role: string;
  readonly join: string;
  readonly disk: string;
}

const standingOf = ({ role, join, disk }: Member): Standing => ({
  role: role.kind === 'candidate' ? role.stage.kind : role.kind,
  join: join.kind,
  disk,
});

export function watchStates(runtime: Runtime, onTransition: (aspect: keyof Standing, from: string, to: string) => void): void {
  let before = standingOf(runtime.member);
  const look = (): void => {
    const now = standingOf(runtime.member);
    for (const aspect of ['role', 'join', 'disk'] as const)
      if (now[aspect] !== before[aspect]) onTransition(aspect, before[aspect], now[aspect]);
    before = now;
  };
  const input = runtime.input.bind(runtime);
  runtime.input = (next) => {
    // It may have been made anew from its journal.
    look();
    input(next);
    look();
  };
}
