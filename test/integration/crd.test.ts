// The resource at a real API server: what it refuses and with which words, what it takes and fills in.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apiVersion, kind } from '../../common/names.ts';
import { controlClusterSchema } from '../../common/schema.ts';
import { startApiServer } from '../lib/api-server.ts';
import type { ApiServer } from '../lib/api-server.ts';

let server: ApiServer;
beforeAll(async () => {
  server = await startApiServer();
});
afterAll(async () => {
  await server.stop();
});

const nats = { url: 'nats://nats:4222' };
/** The smallest valid manifest, with `spec` over it. */
const manifest = (spec: object, name: string) => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'default' },
  spec: { replication: { nats }, ...spec },
});
const dryRun = (object: object) => server.kubectl(['apply', '--dry-run=server', '--output=json', '--filename=-'], object);
const withNats = (more: object) => ({ replication: { nats: { ...nats, ...more } } });
const withPod = (spec: object) => ({ template: { spec } });

describe('the API server refuses', () => {
  const timing = 'leaseDuration must be longer than renewDeadline, and renewDeadline longer than retryPeriod';
  const size = 'must be a size such as 512Mi or 10Gi';
  const url = 'must be nats://host:port or tls://host:port; name and password belong into the Secret of credentialsSecret';
  const duration = 'must be a whole number with the unit ms, s, m or h, such as 500ms, 6s or 5m';
  const schedule = 'must be a schedule of five fields, in UTC: minute, hour, day of month, month, day of week, such as 0 2 * * *';
  const container = 'the container name controlcluster belongs to the sidecar; choose another name';
  test.each<[what: string, spec: object, message: string, name?: string]>([
    ['no NATS servers', { replication: {} }, 'spec.replication.nats: Required value'],
    ['no replication', { replication: null }, 'spec.replication: Required value'],
    ['an unknown field', { membrs: 3 }, 'unknown field "spec.membrs"'],
    ['no members', { members: 0 }, 'spec.members in body should be greater than or equal to 1'],
    ['too many members', { members: 8 }, 'spec.members in body should be less than or equal to 7'],
    ['members as a text', { members: 'three' }, 'must be of type integer'],
    [
      'a preferred leader beyond the members',
      { preferredLeader: 'trading-3' },
      'spec.preferredLeader: Invalid value: must be a member, trading-0 to trading-2',
    ],
    ['a preferred leader of another cluster', { preferredLeader: 'orders-0' }, 'must be a member, trading-0 to trading-2'],
    [
      'a disaster-recovery replica as preferred leader',
      { preferredLeader: 'trading-dr-0', disasterRecovery: {} },
      'must be a member, trading-0 to trading-2',
    ],
    [
      'too many disaster-recovery replicas',
      { disasterRecovery: { replicas: 9 } },
      'spec.disasterRecovery.replicas in body should be less than or equal to 8',
    ],
    ['a privileged port', { port: 80 }, 'spec.port in body should be greater than or equal to 1024'],
    ['a port that is none', { port: 70_000 }, 'spec.port in body should be less than or equal to 65535'],
    [
      'an unknown start policy',
      { startup: { policy: 'Some' } },
      'spec.startup.policy: Unsupported value: "Some": supported values: "All", "Quorum"',
    ],
    ['a duration without a unit', { startup: { timeout: '30' } }, `spec.startup.timeout: Invalid value: "30": ${duration}`],
    ['a duration in words', { startup: { timeout: '5 minutes' } }, 'spec.startup.timeout: Invalid value: "5 minutes": must be'],
    ['a start after weeks', { startup: { timeout: '1000h' } }, 'timeout must be between 1s and 24h; to wait for all members without end'],
    ['a duration of nothing', { election: { retryPeriod: '0s' } }, `spec.election.retryPeriod: Invalid value: "0s": ${duration}`],
    ['a renewal that takes longer than the Lease', { election: { leaseDuration: '3s' } }, timing],
    ['a renewal in minutes, the Lease in seconds', { election: { leaseDuration: '30s', renewDeadline: '1m' } }, timing],
    ['a renewal as long as the Lease', { election: { renewDeadline: '6s' } }, timing],
    ['tries rarer than the deadline', { election: { retryPeriod: '5s' } }, timing],
    [
      'a Lease of milliseconds',
      { election: { leaseDuration: '900ms', renewDeadline: '500ms', retryPeriod: '200ms' } },
      'leaseDuration must be between 1s and 10m',
    ],
    ['a Lease of an hour', { election: { leaseDuration: '1h' } }, 'leaseDuration must be between 1s and 10m'],
    ['tries without pause', { election: { retryPeriod: '10ms' } }, 'retryPeriod must be at least 100ms'],
    ['an unknown durability', { replication: { durability: 'Maybe', nats } }, 'spec.replication.durability: Unsupported value: "Maybe"'],
    ['NATS by HTTP', withNats({ url: 'http://nats:4222' }), url],
    ['a password in the address', withNats({ url: 'nats://me:secret@nats:4222' }), url],
    [
      'two copies in NATS',
      withNats({ replicas: 2 }),
      'spec.replication.nats.replicas: Invalid value: 2: must be 1, 3 or 5, and not more than there are NATS servers',
    ],
    [
      'a Secret that cannot exist',
      withNats({ credentialsSecret: 'My Secret' }),
      'must be the name of an object: lower-case letters, digits, - and .',
    ],
    ['copies by a word', { archive: { schedule: '@daily' } }, `spec.archive.schedule: Invalid value: "@daily": ${schedule}`],
    ['copies in an hour that no day has', { archive: { schedule: '0 24 * * *' } }, `Invalid value: "0 24 * * *": ${schedule}`],
    ['copies by the second', { archive: { schedule: '0 0 2 * * *' } }, `Invalid value: "0 0 2 * * *": ${schedule}`],
    ['copies without a schedule', { archive: { keep: 3 } }, 'spec.archive.schedule: Required value'],
    [
      'copies of which none is kept',
      { archive: { schedule: '0 2 * * *', keep: 0 } },
      'spec.archive.keep in body should be greater than or equal to 1',
    ],
    ['a size in bytes', { storage: { size: '1000000' } }, `spec.storage.size: Invalid value: "1000000": ${size}`],
    ['a size in words', { storage: { size: '10 GB' } }, `spec.storage.size: Invalid value: "10 GB": ${size}`],
    [
      'a container with the name of the sidecar',
      withPod({ containers: [{ name: 'controlcluster' }] }),
      `spec.template.spec.containers: Invalid value: ${container}`,
    ],
    [
      'an init container with it',
      withPod({ initContainers: [{ name: 'controlcluster' }] }),
      `spec.template.spec.initContainers: Invalid value: ${container}`,
    ],
    [
      'a volume that shadows one of the sidecar',
      withPod({ volumes: [{ name: 'controlcluster-data', emptyDir: {} }] }),
      'volume names that begin with controlcluster- belong to the sidecar; choose another name',
    ],
    [
      'a label of the operator',
      { template: { metadata: { labels: { 'controlcluster.io/role': 'leader' } } } },
      'labels below controlcluster.io/ are set by the operator; remove them from the template',
    ],
    [
      'an annotation of the operator in the template',
      { template: { metadata: { annotations: { 'controlcluster.io/force-start': 'true' } } } },
      'belong to the operator; choose another prefix',
    ],
    ['a name with a dot', {}, 'metadata.name: Invalid value: must be a DNS label of at most 40 characters', 'trading.fx'],
    ['a name that begins with a digit', {}, 'metadata.name: Invalid value: must be a DNS label of at most 40 characters', '1trading'],
    ['a long name', {}, 'metadata.name: Invalid value: must be a DNS label of at most 40 characters', 'a'.repeat(41)],
    [
      'the name of another cluster with its suffix',
      {},
      'metadata.name: Invalid value: must not end in -dr, -followers, -members',
      'trading-dr',
    ],
  ])('%s', async (_, spec, message, name = 'trading') => {
    const { code, stdout, stderr } = await dryRun(manifest(spec, name));
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });
});

describe('the API server takes', () => {
  const container = { name: 'control', image: 'example/control:1' };
  test.each<[what: string, spec: object, filled: object, name?: string]>([
    [
      'the smallest manifest',
      {},
      {
        members: 3,
        port: 5000,
        disasterRecovery: { replicas: 0 },
        startup: { policy: 'All', timeout: '5m', divergedMember: 'Archive' },
        election: { leaseDuration: '6s', renewDeadline: '4s', retryPeriod: '1s' },
        replication: { durability: 'Quorum', nats: { ...nats, replicas: 1 } },
        storage: { size: '10Gi', storageClassName: '' },
        template: {},
      },
    ],
    ['one member', { members: 1 }, { members: 1 }],
    ['an even number of members', { members: 4 }, { members: 4 }],
    ['seven members, the last preferred', { members: 7, preferredLeader: 'trading-6' }, { preferredLeader: 'trading-6' }],
    [
      'disaster recovery without a count',
      { disasterRecovery: { nodeSelector: { 'topology.kubernetes.io/region': 'dr' } } },
      { disasterRecovery: { replicas: 1 } },
    ],
    ['part of the start', { startup: { policy: 'Quorum' } }, { startup: { policy: 'Quorum', timeout: '5m', divergedMember: 'Archive' } }],
    [
      'part of the timing',
      { election: { leaseDuration: '15s' } },
      { election: { leaseDuration: '15s', renewDeadline: '4s', retryPeriod: '1s' } },
    ],
    [
      'timing in several units',
      { election: { leaseDuration: '1m', renewDeadline: '20s', retryPeriod: '500ms' } },
      { election: { retryPeriod: '500ms' } },
    ],
    [
      'NATS by TLS with Secrets',
      withNats({ url: 'tls://nats.a.svc:4222', replicas: 3, credentialsSecret: 'trading-nats', tlsSecret: 'nats-ca' }),
      withNats({ url: 'tls://nats.a.svc:4222', replicas: 3 }),
    ],
    ['NATS by an address of IPv6', withNats({ url: 'nats://[fd00::1]:4222' }), withNats({ url: 'nats://[fd00::1]:4222' })],
    ['copies each night', { archive: { schedule: '0 2 * * *' } }, { archive: { schedule: '0 2 * * *', keep: 7 } }],
    [
      'copies by all that a schedule can say',
      { archive: { schedule: '*/20,59 22-4/2 1,15 1-11/2 1-5,7', keep: 365 } },
      { archive: { schedule: '*/20,59 22-4/2 1,15 1-11/2 1-5,7', keep: 365 } },
    ],
    ['a class of storage', { storage: { storageClassName: 'fast' } }, { storage: { size: '10Gi', storageClassName: 'fast' } }],
    [
      'any pod',
      withPod({ containers: [{ ...container, env: [{ name: 'A', value: 'b' }] }], dnsPolicy: 'Default' }),
      withPod({ containers: [{ ...container, env: [{ name: 'A', value: 'b' }] }], dnsPolicy: 'Default' }),
    ],
    [
      'a container without a name, for the operator to report',
      withPod({ containers: [{ image: 'a' }] }),
      withPod({ containers: [{ image: 'a' }] }),
    ],
    [
      'placement of its own for disaster recovery',
      { disasterRecovery: { replicas: 2, tolerations: [{ key: 'dr', operator: 'Exists' }], affinity: { nodeAffinity: {} } } },
      { disasterRecovery: { tolerations: [{ key: 'dr', operator: 'Exists' }], affinity: { nodeAffinity: {} } } },
    ],
    ['a name of forty characters', {}, {}, `a${'-0'.repeat(19)}z`],
  ])('%s', async (_, spec, filled, name = 'trading') => {
    const { stdout, stderr } = await dryRun(manifest(spec, name));
    expect(stderr).toBe('');
    const answer: unknown = JSON.parse(stdout);
    expect(answer).toMatchObject({ spec: filled });
    // zod fills what the API server fills: both sides see the same specification.
    expect(controlClusterSchema.parse(answer).spec).toEqual((answer as { spec: object }).spec);
  });
});

describe('a cluster that exists', () => {
  const patch = async (spec: object) =>
    (await server.kubectl(['patch', 'cc/fixed', '--type=merge', `--patch=${JSON.stringify({ spec })}`])).stderr;
  beforeAll(async () => {
    const { code } = await server.kubectl(['apply', '--filename=-'], manifest({}, 'fixed'));
    expect(code).toBe(0);
  });

  test.each([
    ['the size of its volumes', { storage: { size: '20Gi' } }, 'storage.size cannot be changed: enlarge the PersistentVolumeClaims'],
    [
      'the class of its volumes',
      { storage: { storageClassName: 'fast' } },
      'storage.storageClassName cannot be changed: volumes do not move',
    ],
  ])('keeps %s', async (_, spec, message) => {
    expect(await patch(spec)).toContain(message);
  });

  test('changes its members when it is scaled', async () => {
    const { stderr } = await server.kubectl(['scale', 'cc/fixed', '--replicas=5']);
    expect(stderr).toBe('');
    expect(await patch({ members: 3 })).toBe('');
  });

  test('changes in all else', async () => {
    const template = { spec: { containers: [{ name: 'control', image: 'a' }] } };
    expect(
      await patch({ preferredLeader: 'fixed-2', disasterRecovery: { replicas: 2 }, port: 6000, startup: { timeout: '1m' }, template }),
    ).toBe('');
  });

  test('shows its state in columns, under its short name', async () => {
    const status = { phase: 'Running', leader: 'fixed-0', uid: 1287, ready: '3/3', disasterRecoveryReady: '1/1' };
    const patched = await server.kubectl([
      'patch',
      'cc/fixed',
      '--subresource=status',
      '--type=merge',
      `--patch=${JSON.stringify({ status })}`,
    ]);
    expect(patched.stderr).toBe('');
    const { stdout } = await server.kubectl(['get', 'cc', 'fixed']);
    const [head, row] = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    expect(head).toEqual(['NAME', 'PHASE', 'LEADER', 'UID', 'READY', 'DR', 'AGE']);
    expect(row?.slice(0, 6)).toEqual(['fixed', 'Running', 'fixed-0', '1287', '3/3', '1/1']);
  });

  test('has a status that only says what is defined', async () => {
    const status = { phase: 'Asleep' };
    const { stderr } = await server.kubectl([
      'patch',
      'cc/fixed',
      '--subresource=status',
      '--type=merge',
      `--patch=${JSON.stringify({ status })}`,
    ]);
    expect(stderr).toContain('status.phase: Unsupported value: "Asleep"');
  });
});
