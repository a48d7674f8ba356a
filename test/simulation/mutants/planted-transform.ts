// Jest's transform with the bug in it that `PLANTED_BUG` names: the tests that run through it see the programs with that bug.
// Jest caches by the key that it is given, which is that of the source with the bug: nothing of it is left for a run without.
import { pathToFileURL } from 'node:url';
import swc from '@swc/jest';
import { mutantNamed } from './catalogue.ts';
import { plantedSources } from './mutant.ts';

type Transformer = Required<ReturnType<typeof swc.createTransformer>>;

export function createTransformer(options: Parameters<typeof swc.createTransformer>[0]): Pick<Transformer, 'process' | 'getCacheKey'> {
  const sources = plantedSources(mutantNamed(process.env['PLANTED_BUG'] ?? ''));
  const { process: strip, getCacheKey } = swc.createTransformer(options) as Transformer;
  const sourceOf = (source: string, path: string): string => sources.get(pathToFileURL(path).href) ?? source;
  return {
    process: (source, path, run) => strip(sourceOf(source, path), path, run),
    getCacheKey: (source, path, ...rest) => getCacheKey(sourceOf(source, path), path, ...rest),
  };
}
