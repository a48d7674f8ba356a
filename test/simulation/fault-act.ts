// One fault as it is carried out: on whom, with which chance, and what it may reach. Each has a chance of its own, so that a fault that is left out
// does not change the others. What each kind does is in faults.ts, volume-faults.ts and order-faults.ts.
import type { Chance } from './chance.ts';
import type { Host } from './host.ts';
import type { SimulatedOperator } from './simulated-operator.ts';
import type { StatefulSet } from './stateful-set.ts';
import type { World } from './world.ts';

const maxDownMs = 2500;

export type DiskCopy = ReturnType<Host['disk']['snapshot']>;

/** What runs beside the members. */
export interface Controllers {
  readonly operator: SimulatedOperator;
  readonly statefulSet: StatefulSet;
}

export interface Act extends Controllers {
  readonly world: World;
  readonly chance: Chance;
  /** Those whose pods are there. */
  readonly hosts: readonly Host[];
  readonly host: Host;
  /** The end comes after a drawn time, unless all faults end before. */
  readonly whileLasts: (begin: () => void, end: () => void) => void;
  /** Of disks, as they once were. */
  readonly copies: Map<Host, DiskCopy>;
}

export const downMs = ({ chance }: Act): number => chance.between(10, maxDownMs);

export const down = (act: Act, keepsPower: boolean): void => {
  act.host.crash(keepsPower ? 'killed' : 'power lost', keepsPower);
  act.host.startAfter(downMs(act));
};

export const others = ({ hosts, host }: Act): Host[] => hosts.filter((each) => each !== host);
