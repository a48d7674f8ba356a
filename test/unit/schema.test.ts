// The schema of the ControlCluster and the CustomResourceDefinition made from it. What the API server makes of it is tested in integration.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { customResourceDefinition } from '../../common/crd/custom-resource.ts';
import { manifestPath, manifestText } from '../../common/crd/manifest.ts';
import { parseDurationMs } from '../../common/duration.ts';
import { controlCluster } from '../lib/control-cluster.ts';

const openApi = customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema ?? {};

/** Every schema below a schema, with its place. */
function* places(node: unknown, path: string): Generator<{ path: string; node: Record<string, unknown>; key: string }> {
  if (typeof node !== 'object' || node === null) return;
  const { properties = {}, items, additionalProperties } = node as Record<string, object | undefined>;
  const below = [
    ...Object.entries(properties).map(([name, child]) => ({ key: 'field', name: `.${name}`, child: child as unknown })),
    { key: 'item', name: '[]', child: items },
    { key: 'value', name: '{}', child: additionalProperties },
  ];
  for (const { key, name, child } of below) {
    if (typeof child !== 'object' || child === null) continue;
    yield { path: path + name, node: child as Record<string, unknown>, key };
    yield* places(child, path + name);
  }
}
const all = [...places(openApi, '')];

describe('the CustomResourceDefinition', () => {
  test('in crds/ is the one that the schema yields', () => {
    const file = readFileSync(new URL(`../../${manifestPath}`, import.meta.url), 'utf8');
    expect(file).toBe(manifestText());
    expect(parse(file)).toEqual(JSON.parse(JSON.stringify(customResourceDefinition())));
  });

  test('describes every field', () => {
    const fields = all.filter(({ key, path }) => key === 'field' && !path.startsWith('.metadata'));
    expect(fields.length).toBeGreaterThan(60);
    expect(fields.filter(({ node }) => typeof node['description'] !== 'string').map(({ path }) => path)).toEqual([]);
  });

  test('bounds every text and every list, so that the cost of rules can be estimated', () => {
    const unbounded = all.filter(
      ({ node, path }) =>
        (node['type'] === 'string' &&
          !('maxLength' in node || 'enum' in node || 'format' in node || 'pattern' in node) &&
          /^\.(spec|status)/.test(path)) ||
        (node['type'] === 'array' && !('maxItems' in node)),
    );
    expect(unbounded.map(({ path }) => path)).toEqual([]);
  });

  test('answers a broken rule with a message', () => {
    const rules = [openApi, ...all.map(({ node }) => node)].flatMap(
      (node) => (node['x-kubernetes-validations'] as { message?: string; messageExpression?: string }[] | undefined) ?? [],
    );
    expect(rules.length).toBeGreaterThan(15);
    expect(rules.filter(({ message, messageExpression }) => message === undefined && messageExpression === undefined)).toEqual([]);
  });
});

describe('a ControlCluster', () => {
  test('gets the documented defaults', () => {
    expect(controlCluster().spec).toEqual({
      members: 3,
      disasterRecovery: { replicas: 0 },
      port: 5000,
      startup: { policy: 'All', timeout: '5m', divergedMember: 'Archive' },
      election: { leaseDuration: '6s', renewDeadline: '4s', retryPeriod: '1s' },
      replication: { durability: 'Quorum', nats: { url: 'nats://nats:4222', replicas: 1 } },
      storage: { size: '10Gi', storageClassName: '' },
      template: {},
    });
  });

  test('with disaster recovery but no count has one such replica', () => {
    expect(controlCluster({ disasterRecovery: { nodeSelector: { region: 'dr' } } }).spec.disasterRecovery).toEqual({
      replicas: 1,
      nodeSelector: { region: 'dr' },
    });
  });

  test('keeps the whole of a pod specification', () => {
    const spec = { containers: [{ name: 'control', image: 'a', env: [{ name: 'A', value: 'b' }] }], dnsPolicy: 'Default' };
    expect(controlCluster({ template: { spec } }).spec.template.spec).toEqual(spec);
  });
});

describe('parseDurationMs', () => {
  test.each([
    ['500ms', 500],
    ['6s', 6000],
    ['5m', 300_000],
    ['2h', 7_200_000],
  ])('reads %s', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each(['', '6', '0s', '1.5s', '5 m', '-1s', '1d', '1h30m'])('refuses "%s"', (text) => {
    expect(() => parseDurationMs(text)).toThrow(RangeError);
  });
});
