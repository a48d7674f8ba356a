// The operator's environment: defaults, relations, and errors that name the variable.
import { describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { parseConfig } from '../../operator/config.ts';

const least = { CC_NAMESPACE: 'system', CC_IDENTITY: 'operator-0', CC_SIDECAR_IMAGE: 'sidecar:1' };

describe('the configuration of the operator', () => {
  test('has defaults for all but what it cannot know', () => {
    expect(parseConfig(least)).toMatchObject({
      namespace: 'system',
      identity: 'operator-0',
      port: 8080,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      sidecar: { sidecarImage: 'sidecar:1', imagePullPolicy: 'IfNotPresent', sidecarResources: { requests: { memory: '128Mi' } } },
    });
  });

  test('takes resources as JSON', () => {
    const CC_SIDECAR_RESOURCES = '{"limits":{"memory":"1Gi"}}';
    expect(parseConfig({ ...least, CC_SIDECAR_RESOURCES }).sidecar.sidecarResources).toEqual({ limits: { memory: '1Gi' } });
  });

  test('is frozen', () => {
    expect(Object.isFrozen(parseConfig(least))).toBe(true);
  });

  test.each<[string, Record<string, string | undefined>]>([
    ['CC_SIDECAR_IMAGE', { CC_SIDECAR_IMAGE: undefined }],
    ['CC_NAMESPACE', { CC_NAMESPACE: '' }],
    ['CC_PORT', { CC_PORT: 'http' }],
    ['CC_SIDECAR_PULL_POLICY', { CC_SIDECAR_PULL_POLICY: 'Sometimes' }],
    ['CC_SIDECAR_RESOURCES', { CC_SIDECAR_RESOURCES: '{"request":{}}' }],
    ['CC_RETRY_PERIOD', { CC_RETRY_PERIOD: '2' }],
    ['CC_RENEW_DEADLINE', { CC_RENEW_DEADLINE: '15s' }],
    ['CC_RETRY_PERIOD', { CC_RETRY_PERIOD: '10s' }],
  ])('names %s when it is wrong: %j', (name, wrong) => {
    expect(() => parseConfig({ ...least, ...wrong })).toThrow(AppError);
    expect(() => parseConfig({ ...least, ...wrong })).toThrow(name);
  });
});
