// An Event as the core wants it told: for people; nothing depends on one.

export interface EventRecord {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  /** The pod that it is about, beside the cluster. */
  readonly pod?: { readonly name: string; readonly uid: string };
}
