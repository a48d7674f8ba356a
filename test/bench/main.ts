// npm run bench -- [--seconds N] [--connections N] [--value-bytes N] [--keys N]: what a checkpoint costs those who write meanwhile, as Markdown.
// It measures and judges nothing: the exit code is 0 unless it could not be run.
import { parseArgs } from 'node:util';
import { measureCheckpointLatency, type CheckpointLatency } from './checkpoint-latency.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    connections: { type: 'string', default: '8' },
    'value-bytes': { type: 'string', default: '4096' },
    keys: { type: 'string', default: '20000' },
  },
});
const load = {
  seconds: Number(values.seconds),
  connections: Number(values.connections),
  valueBytes: Number(values['value-bytes']),
  keys: Number(values.keys),
};
if (!Object.values(load).every((value) => Number.isSafeInteger(value) && value > 0))
  throw new Error('each option is a whole number above 0');

const row = (name: string, { writes, p50Ms, p99Ms, longestMs }: CheckpointLatency['during']): string =>
  `| ${[name, String(writes), ...[p50Ms, p99Ms, longestMs].map((ms) => ms.toFixed(1))].join(' | ')} |`;

const { checkpoints, without, during, p99Ratio } = await measureCheckpointLatency(load, console.error);
console.log('| writes | number | p50 ms | p99 ms | longest ms |\n| --- | --- | --- | --- | --- |');
console.log(row('without a checkpoint', without));
console.log(row('while one is made', during));
console.log(`\n${String(checkpoints)} checkpoints; p99 while one is made: ${p99Ratio.toFixed(2)} times as long`);
