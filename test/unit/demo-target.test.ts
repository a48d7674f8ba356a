// What the demo and the end-to-end tests set in the chart on the bundled cluster.
import { describe, expect, test } from '@jest/globals';
import { bundledValues } from '../demo/target.ts';

describe('the values for the bundled cluster', () => {
  test('differ when the image of the operator does, though its name is the same', () => {
    const [one, other] = ['00000000000000e1', '0000000000000042'].map((key) =>
      bundledValues({ 'docker.io/controlcluster/operator:dev': key }),
    );
    expect(one).not.toEqual(other);
    expect(one?.slice(-2)).toEqual(['--set-string', 'operator.podAnnotations.image=00000000000000e1']);
  });

  test('name no image that the nodes do not hold', () => {
    expect(bundledValues({}).join()).not.toContain('podAnnotations');
  });
});
