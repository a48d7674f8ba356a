// The layers (docs/adr/0001): pure cores, adapters that do not know each other, and main.ts alone wires.
const adapters = '(journal|stream|kube|http|ui)';

export default {
  forbidden: [
    {
      name: 'core-is-pure',
      comment: 'A core imports itself, common/ and zod: no platform, no clock, no client. What happens outside is an effect that goes out.',
      severity: 'error',
      from: { path: '^(sidecar|operator)/core/' },
      to: { pathNot: ['^$1/core/', '^common/', '^node_modules/zod/'] },
    },
    {
      name: 'resources-are-pure',
      comment: 'A builder of a Kubernetes object is a function of its arguments; the client library gives types only.',
      severity: 'error',
      from: { path: '^operator/resources/' },
      to: { pathNot: ['^operator/(resources|core)/', '^common/', '^node_modules/zod/', '^node_modules/@kubernetes/client-node/'] },
    },
    {
      name: 'resources-use-the-client-for-types-only',
      severity: 'error',
      from: { path: '^operator/resources/' },
      to: { path: '^node_modules/@kubernetes/client-node/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'adapters-do-not-know-each-other',
      comment: 'An adapter of the sidecar imports itself, the ports that it implements, the core and common/.',
      severity: 'error',
      from: { path: `^sidecar/${adapters}/` },
      to: { path: '^sidecar/', pathNot: ['^sidecar/$1/', '^sidecar/core/', '^sidecar/ports\\.ts$'] },
    },
    {
      name: 'only-main-wires',
      comment: 'The runtime knows ports, not adapters; http/process.ts is the port that it implements.',
      severity: 'error',
      from: { path: '^sidecar/', pathNot: [`^sidecar/${adapters}/`, '^sidecar/main\\.ts$'] },
      to: { path: `^sidecar/${adapters}/`, pathNot: '^sidecar/http/process\\.ts$' },
    },
    { name: 'main-is-no-library', severity: 'error', from: {}, to: { path: '^(sidecar|operator)/main\\.ts$' } },
    { name: 'operator-does-not-know-the-sidecar', severity: 'error', from: { path: '^operator/' }, to: { path: '^sidecar/' } },
    { name: 'sidecar-does-not-know-the-operator', severity: 'error', from: { path: '^sidecar/' }, to: { path: '^operator/' } },
    {
      name: 'common-stands-alone',
      comment: 'The contract imports zod and yaml. Only the generator of the CRD, a command, touches files.',
      severity: 'error',
      from: { path: '^common/', pathNot: '^common/crd/main\\.ts$' },
      to: { pathNot: ['^common/', '^node_modules/(zod|yaml)/'] },
    },
    {
      name: 'product-does-not-need-the-tests',
      severity: 'error',
      from: { path: '^(common|operator|sidecar|cli)/' },
      to: { path: '^test/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'product-does-not-need-development-packages',
      severity: 'error',
      from: { path: '^(common|operator|sidecar|cli)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
