// Jest's transform with one planted bug in it: the tests that run through it see the program with that bug, which `PLANTED_BUG` names.
// Jest keeps what is transformed in its cache, by file and key: the key of a file with the bug is one of its own.
import swcJest from '@swc/jest';
import { mutantNamed } from './catalogue.ts';
import { plantedSources } from './mutant.ts';

const sources = plantedSources(mutantNamed(process.env['PLANTED_BUG'] ?? ''));
const swc = swcJest.createTransformer({
  jsc: { target: 'es2024', parser: { syntax: 'typescript' } },
  module: { type: 'es6' },
  sourceMaps: 'inline',
});

type Transform = (source: string, path: string, options: never) => unknown;
const withBug =
  (transform: Transform): Transform =>
  (source, path, options) =>
    transform(sources.get(`file://${path}`) ?? source, path, options);

export default {
  canInstrument: false,
  process: withBug(swc.process as Transform),
  processAsync: withBug(swc.processAsync as Transform),
  getCacheKey: withBug(swc.getCacheKey as Transform),
};
