// The sidecar's configuration from its environment.
import { describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { parseConfig } from '../../sidecar/config.ts';

const environment = {
  CC_CLUSTER: 'trading',
  CC_NAMESPACE: 'default',
  CC_POD: 'trading-0',
  CC_POD_UID: '3f1c',
  CC_KIND: 'member',
  CC_PORT: '5000',
  CC_NATS_URL: 'nats://nats.controlcluster-system:4222',
  CC_NATS_REPLICAS: '3',
  CC_LEASE_DURATION_MS: '6000',
  CC_RENEW_DEADLINE_MS: '4000',
  CC_RETRY_PERIOD_MS: '1000',
};

function refusal(change: Readonly<Record<string, string | undefined>>): string {
  try {
    parseConfig({ ...environment, ...change });
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_configuration') return error.detail;
    throw error;
  }
  return '';
}

describe('configuration', () => {
  test('is what the operator set, with the defaults of what it left out', () => {
    expect(parseConfig({ ...environment, PATH: '/bin', CC_NATS_CA_FILE: '' })).toEqual({
      cluster: 'trading',
      namespace: 'default',
      pod: 'trading-0',
      podUid: '3f1c',
      kind: 'member',
      port: 5000,
      durability: 'Quorum',
      divergedMember: 'Archive',
      logLevel: 'info',
      nats: { servers: ['nats://nats.controlcluster-system:4222'], replicas: 3, credentialsDirectory: null, caFile: null },
      election: { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
      archive: null,
      keeping: { segmentBytes: null, checkpointBytes: 67_108_864, upkeepMs: 120_000, retainedFrames: 10_000 },
      dataDirectory: '/var/lib/controlcluster',
      runDirectory: '/run/controlcluster',
      failoverFile: '/etc/controlcluster/failover.csv',
      kubeconfigFile: null,
    });
  });

  test('takes a schedule of copies, and how many are kept', () => {
    const { archive } = parseConfig({ ...environment, CC_ARCHIVE_SCHEDULE: '30 2 * * *' });
    expect(archive).toMatchObject({ schedule: { minutes: [30], hours: [2] }, keep: 7 });
    expect(parseConfig({ ...environment, CC_ARCHIVE_SCHEDULE: '30 2 * * *', CC_ARCHIVE_KEEP: '2' }).archive?.keep).toBe(2);
  });

  test('takes directories, several servers and a kubeconfig', () => {
    const config = parseConfig({
      ...environment,
      DELTA_CONFIG: '/tmp/c',
      CC_DATA_DIR: '/tmp/d',
      CC_RUN_DIR: '/tmp/r',
      CC_KUBECONFIG: '/tmp/k',
      CC_NATS_URL: 'tls://a:4222,tls://b:4222',
      CC_NATS_CREDENTIALS_DIR: '/creds',
    });
    expect(config).toMatchObject({
      failoverFile: '/tmp/c/failover.csv',
      dataDirectory: '/tmp/d',
      runDirectory: '/tmp/r',
      kubeconfigFile: '/tmp/k',
    });
    expect(config.nats).toMatchObject({ servers: ['tls://a:4222', 'tls://b:4222'], credentialsDirectory: '/creds' });
  });

  test('is frozen throughout', () => {
    const config = parseConfig(environment);
    for (const part of [config, config.nats, config.nats.servers, config.election]) expect(Object.isFrozen(part)).toBe(true);
  });

  test.each([
    ['CC_CLUSTER', 'Trading'],
    ['CC_POD', 'a.b'],
    ['CC_KIND', 'leader'],
    ['CC_PORT', '70000'],
    ['CC_PORT', '5e3'],
    ['CC_DURABILITY', 'quorum'],
    ['CC_DIVERGED_MEMBER', 'Drop'],
    ['CC_ARCHIVE_SCHEDULE', 'daily'],
    ['CC_ARCHIVE_KEEP', '0'],
    ['CC_NATS_URL', 'http://nats'],
    ['CC_NATS_REPLICAS', '-1'],
    ['CC_NATS_CREDENTIALS_DIR', 'creds'],
    ['CC_RETRY_PERIOD_MS', '1s'],
    ['CC_LOG_LEVEL', 'loud'],
  ])('refuses %s=%s by its name, and does not repeat the value', (name, value) => {
    expect(refusal({ [name]: value })).toMatch(new RegExp(`^${name} `));
    expect(refusal({ [name]: `${value}-hunter2` })).not.toContain('hunter2');
  });

  test.each(['CC_CLUSTER', 'CC_PORT', 'CC_LEASE_DURATION_MS'])('says that %s is not set', (name) => {
    expect(refusal({ [name]: undefined })).toBe(`${name} is not set`);
    expect(refusal({ [name]: '' })).toBe(`${name} is not set`);
  });

  test('refuses a URL that carries a password, and does not show it', () => {
    const detail = refusal({ CC_NATS_URL: 'nats://user:hunter2@nats:4222' });
    expect(detail).toMatch(/^CC_NATS_URL .*without user or password/);
    expect(detail).not.toContain('hunter2');
  });

  test('leaseDuration > renewDeadline > retryPeriod', () => {
    expect(refusal({ CC_LEASE_DURATION_MS: '4000' })).toContain('CC_LEASE_DURATION_MS must be greater than CC_RENEW_DEADLINE_MS');
    expect(refusal({ CC_RETRY_PERIOD_MS: '4000' })).toContain('CC_RENEW_DEADLINE_MS must be greater than CC_RETRY_PERIOD_MS');
    expect(refusal({ CC_LEASE_DURATION_MS: '4001', CC_RETRY_PERIOD_MS: '3999' })).toBe('');
  });
});
