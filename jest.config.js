// Five projects, fastest first. TypeScript is stripped by swc; modules stay ES modules (run with --experimental-vm-modules).
// With PLANTED_BUG a bug of test/simulation/mutants is in the programs, which some test must then see.
const transform = process.env.PLANTED_BUG === undefined ? '@swc/jest' : '<rootDir>/test/simulation/mutants/planted-transform.ts';
const swc = [transform, { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' }];

const project = (name, testTimeLimitMs) => ({
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': swc },
  globals: { testTimeLimitMs },
  setupFilesAfterEnv: ['<rootDir>/test/lib/time-limit.ts'],
});

export default {
  // Of the unit tests; the others run one by one. Many of them wait for a limit to pass: more workers than most machines have processors.
  maxWorkers: 4,
  projects: [
    project('unit', 5_000),
    project('simulation', 900_000),
    project('conformance', 30_000),
    project('integration', 120_000),
    project('e2e', 600_000),
  ],
};
