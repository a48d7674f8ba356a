// The sidecar: wires the adapters to the runtime, serves the Process API, and ends in order. Nothing is decided here.
import { mkdirSync, readFileSync } from 'node:fs';
import { pino } from 'pino';
import { leaderLeaseName, logSubject, podHost, snapshotStreamName, snapshotSubjects, streamName } from '../common/names.ts';
import { isAppError } from '../common/errors.ts';
import { ArchiveSchedule } from './archive-schedule.ts';
import { systemClock } from './clock.ts';
import { parseConfig, type Config } from './config.ts';
import { LocalProcess } from './control-process.ts';
import { coreLimits } from './core/limits.ts';
import { followFailoverOrder } from './failover-order.ts';
import { createServer } from './http/server.ts';
import { openJournal } from './journal/journal.ts';
import { sha256 } from './journal/sha256.ts';
import { createAccessReview } from './kube/access.ts';
import { KubeApi, podEndpoint, type KubeEndpoint } from './kube/kube-api.ts';
import { createLeaderLease } from './kube/leader-lease.ts';
import { createOwnPod } from './kube/own-pod.ts';
import { podsToAsk, repairJournal } from './repair.ts';
import { Runtime } from './runtime.ts';
import { createStatusFile } from './status-file.ts';
import { connectNats } from './stream/connection.ts';
import { createJetStream } from './stream/jetstream.ts';
import { createLogStream } from './stream/log-stream.ts';
import { createPeers } from './stream/peers.ts';
import { createSnapshotStore } from './stream/snapshot-store.ts';

const closeTimeoutMs = 5000;

function readConfig(): Config {
  try {
    return parseConfig(process.env);
  } catch (error) {
    if (!isAppError(error)) throw error;
    process.stderr.write(`${JSON.stringify({ level: 60, code: error.code, msg: error.detail })}\n`);
    process.exit(2);
  }
}

async function kubernetes(kubeconfigFile: string | null): Promise<KubeEndpoint> {
  if (kubeconfigFile === null) return podEndpoint(process.env);
  const { kubeconfigEndpoint } = await import('./kube/kubeconfig.ts');
  return kubeconfigEndpoint(kubeconfigFile);
}

const config = readConfig();
const log = pino({ level: config.logLevel, base: { pod: config.pod, cluster: config.cluster } });
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** What is expected to fail is named by its code; anything else is a defect. Either way this process cannot go on. */
function die(error: unknown): never {
  if (isAppError(error)) log.fatal({ code: error.code, detail: error.detail }, 'sidecar cannot go on');
  else log.fatal({ err: error }, 'a defect ends the sidecar');
  process.exit(1);
}
process.on('uncaughtException', die);
process.on('unhandledRejection', die);
/** Until there is something to end in order, the process just ends. */
let shutDown = (_signal: string): Promise<void> => process.exit(0);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void shutDown(signal));

const address = `${podHost(config.pod, config.cluster, config.namespace)}:${String(config.port)}`;
const closing = new AbortController();

const { segmentBytes, checkpointBytes, upkeepMs, retainedFrames } = config.keeping;
mkdirSync(config.dataDirectory, { recursive: true });
const journal = await openJournal({
  directory: config.dataDirectory,
  ...(segmentBytes === null ? {} : { segmentBytes }),
  sha256,
  log,
  onFatal: (error) => {
    log.fatal({ err: error }, 'journal cannot be trusted any more');
    process.exit(1);
  },
});
const api = new KubeApi(await kubernetes(config.kubeconfigFile));
const link = connectNats({
  url: config.nats.servers.join(','),
  name: `${config.namespace}/${config.pod}`,
  credentialsDirectory: config.nats.credentialsDirectory,
  caFile: config.nats.caFile,
  log,
});
const streamNames = { stream: streamName(config.namespace, config.cluster), subject: logSubject(config.namespace, config.cluster) };
const stream = createLogStream({
  ...streamNames,
  jetstream: createJetStream(link, { name: streamNames.stream, subjects: [streamNames.subject], replicas: config.nats.replicas }),
  mayCreate: config.kind === 'member',
  clock: systemClock,
  sha256,
  log,
});
const subjects = snapshotSubjects(config.namespace, config.cluster);
const snapshots = createSnapshotStore({
  jetstream: createJetStream(link, {
    name: snapshotStreamName(config.namespace, config.cluster),
    subjects,
    replicas: config.nats.replicas,
  }),
  subjects,
  clock: systemClock,
  sha256,
  log,
});
const peers = createPeers({ link, namespace: config.namespace, cluster: config.cluster, pod: config.pod, log });
const lease =
  config.kind === 'dr'
    ? null
    : createLeaderLease({ api, namespace: config.namespace, name: leaderLeaseName(config.cluster), ...config.election, log });
const ownPod = createOwnPod({ api, namespace: config.namespace, pod: config.pod, podUid: config.podUid, log });

let order: readonly string[] = [];
let onOrder = (_pods: readonly string[]): void => undefined;
void followFailoverOrder({
  file: config.failoverFile,
  cluster: config.cluster,
  onOrder: (pods) => {
    order = pods;
    onOrder(pods);
  },
  log,
  signal: closing.signal,
});
const pods = (): string[] => podsToAsk(config.cluster, config.pod, order);
await repairJournal({ journal, peers, stream, snapshots, pods, sha256, clock: systemClock, tell: (why) => ownPod.waits(why), log });

const runtime = await Runtime.create(
  { journal, stream, snapshots, peers, lease, ownPod, clock: systemClock, crash: die, log },
  {
    member: {
      pod: config.pod,
      podUid: config.podUid,
      session: systemClock.nonce(),
      kind: config.kind,
      durability: config.durability,
      divergedMember: config.divergedMember,
      timings: config.election,
      checkpointBytes,
      upkeepMs,
      retainedFrames,
      orphanFrames: coreLimits.orphanFrames,
      sha256,
    },
    address,
    version,
  },
);
const controlProcess = new LocalProcess({ runtime, journal, peers, clock: systemClock, log });
const archiving =
  config.archive === null
    ? null
    : new ArchiveSchedule({ ...config.archive, journal, member: () => runtime.member, clock: systemClock, log });
const server = createServer({
  process: controlProcess,
  authorise: createAccessReview(api, config.namespace, config.cluster),
  logger: log,
  port: config.port,
});
const writeStatusFile = createStatusFile(config.runDirectory, log);
runtime.onChange(() => writeStatusFile({ ...controlProcess.role(), pod: config.pod, epoch: controlProcess.role().epoch }));

await server.listen();
link.onState((state) => runtime.setConnection(state.kind === 'connected' ? null : state.reason));
onOrder = (pods) => runtime.setOrder(pods);
onOrder(order);
runtime.start();
archiving?.start();
log.info({ version, kind: config.kind, uid: controlProcess.uid }, 'sidecar started');

shutDown = async (signal) => {
  log.info({ signal }, 'sidecar stops');
  setTimeout(() => process.exit(1), closeTimeoutMs).unref();
  await controlProcess.handOver();
  closing.abort();
  runtime.stop();
  archiving?.stop();
  lease?.close();
  ownPod.close();
  await server.close();
  stream.close();
  snapshots.close();
  await link.close();
  await journal.close();
  process.exit(0);
};
