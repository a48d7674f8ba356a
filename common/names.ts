// Names, labels and annotations that both programs must agree on.
export const group = 'controlcluster.io';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'ControlCluster';
export const plural = 'controlclusters';

export const labels = {
  cluster: `${group}/cluster`,
  /** `leader`, `follower` or `dr`; written by each sidecar on its own pod. */
  role: `${group}/role`,
  alwaysFollower: `${group}/always-follower`,
} as const;

export const annotations = {
  paused: `${group}/paused`,
  /** On a pod: it is to lead with its own log (K10); taken off when done. */
  forceStart: `${group}/force-start`,
  /** On a pod: it is to archive its own changes and follow; taken off when done. */
  discardLocal: `${group}/discard-local`,
  /** On a ControlCluster: the pod that is to lead; taken off when done. */
  switchoverTo: `${group}/switchover-to`,
  /** On the member Lease of the leader: to whom it is to hand over (`switchoverSchema`), written by the operator. */
  switchover: `${group}/switchover`,
  /** On a member Lease: the session that is to discard, written by the operator. */
  discard: `${group}/discard`,
  /** On the leader Lease: the start round, written by the operator (`startRoundSchema`). */
  round: `${group}/round`,
  /** On a member Lease: the member's report (`memberReportSchema`). */
  report: `${group}/report`,
  /** On a member Lease: why the process does not report yet (`waitingSchema`). The report of the one before it stands meanwhile. */
  waiting: `${group}/waiting`,
} as const;

export type PodRole = 'leader' | 'follower' | 'dr';

/** Name of the sidecar container in every pod. */
export const sidecarContainer = 'controlcluster';
/** Volume that holds the journal; mounted in the sidecar only. */
export const dataVolume = 'controlcluster-data';
/** Volume with `failover.csv` and `delta.profile`; mounted read-only in all containers. */
export const configVolume = 'controlcluster-config';
/** Writable in-memory volume shared by the containers of a pod, for the status file. */
export const runVolume = 'controlcluster-run';
export const dataDirectory = '/var/lib/controlcluster';
/** `$DELTA_CONFIG` in every container. */
export const configDirectory = '/etc/controlcluster';
/** The sidecar writes `status.json` here. */
export const runDirectory = '/run/controlcluster';

export const leaderLeaseName = (cluster: string): string => `${cluster}-leader`;
/** A member's Lease is named as its pod. */
export const memberLeaseName = (pod: string): string => pod;
export const configMapName = (cluster: string): string => `${cluster}-config`;
export const membersServiceName = (cluster: string): string => `${cluster}-members`;
export const followersServiceName = (cluster: string): string => `${cluster}-followers`;
export const leaderServiceName = (cluster: string): string => cluster;
export const memberPodName = (cluster: string, ordinal: number): string => `${cluster}-${String(ordinal)}`;
export const drStatefulSetName = (cluster: string): string => `${cluster}-dr`;
export const isDrPod = (cluster: string, pod: string): boolean => pod.startsWith(`${drStatefulSetName(cluster)}-`);
export const drPodName = (cluster: string, ordinal: number): string => `${cluster}-dr-${String(ordinal)}`;

/** Stable DNS name of a pod, below the headless Service. */
export function podHost(pod: string, cluster: string, namespace: string): string {
  return `${pod}.${membersServiceName(cluster)}.${namespace}.svc`;
}

/** The JetStream stream of a cluster. Namespace and name are DNS labels, so that `_` cannot occur in either. */
export const streamName = (namespace: string, cluster: string): string => `CC_${namespace}_${cluster}`;
/** The one subject of that stream. */
export const logSubject = (namespace: string, cluster: string): string => `cc.${namespace}.${cluster}.log`;
/** The JetStream stream with the newest snapshots of a cluster, and its two subjects: one snapshot is written on one of them while the other holds the one before. */
export const snapshotStreamName = (namespace: string, cluster: string): string => `${streamName(namespace, cluster)}_SNAPSHOT`;
export const snapshotSubjects = (namespace: string, cluster: string): readonly [string, string] => [
  `cc.${namespace}.${cluster}.snapshot.0`,
  `cc.${namespace}.${cluster}.snapshot.1`,
];
/** Core NATS: messages to one pod of the cluster. */
export const peerSubject = (namespace: string, cluster: string, pod: string): string => `cc.${namespace}.${cluster}.peer.${pod}`;
/** Core NATS: messages to every pod of the cluster. */
export const broadcastSubject = (namespace: string, cluster: string): string => `cc.${namespace}.${cluster}.all`;
