// House style that a machine can check; CONTRIBUTING.md says why. `enum`, parameter properties and the like are refused by
// `erasableSyntaxOnly` in tsconfig.json, layers by .dependency-cruiser.js.
import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** `eslint-disable` says why, after `--`. */
const reasonForDisable = {
  create: (context) => ({
    Program() {
      for (const comment of context.sourceCode.getAllComments())
        if (/^\s*eslint-disable/.test(comment.value) && !/\s--\s+\S/.test(comment.value))
          context.report({ loc: comment.loc, message: 'Say why, after `--`.' });
    },
  }),
};

const vagueNames = new Set(['utils', 'util', 'helpers', 'helper', 'manager', 'index', 'misc', 'types', 'constants']);
/** Files are named in kebab-case by a noun of the domain. */
const fileName = {
  create: (context) => ({
    Program(node) {
      const name = context.filename.split('/').at(-1)?.split('.')[0] ?? '';
      if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) context.report({ node, message: 'Name the file in kebab-case.' });
      if (vagueNames.has(name)) context.report({ node, message: 'Name the file by what it is about.' });
    },
  }),
};

const clocksAndChance = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'performance',
  'crypto',
  'fetch',
  'console',
];

export default defineConfig(
  globalIgnores(['node_modules', 'artifacts']),
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { house: { rules: { 'reason-for-disable': reasonForDisable, 'file-name': fileName } } },
    rules: {
      'house/reason-for-disable': 'error',
      'house/file-name': 'error',
      'max-lines': ['error', { max: 300 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      'no-restricted-exports': [
        'error',
        { restrictDefaultExports: { direct: true, named: true, defaultFrom: true, namedFrom: true, namespaceFrom: true } },
      ],
      eqeqeq: 'error',
      'no-console': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
      // `return hand(over)` in a dispatcher that returns nothing says what it means.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      // The Kubernetes client declares its models as classes; they are plain objects everywhere.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all' }],
    },
  },
  {
    files: ['{sidecar,operator}/core/**/*.ts', 'operator/resources/**/*.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...clocksAndChance.map((name) => ({ name, message: 'Time, chance and effects come in as inputs and go out as effects.' })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time comes in as an input.' },
        { object: 'Math', property: 'random', message: 'Chance comes in as an input.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A describe block is one function, and grows with its tests.
      'max-lines-per-function': 'off',
      // node:test-like callbacks and fakes of asynchronous ports have nothing to await.
      '@typescript-eslint/require-await': 'off',
    },
  },
  // Commands speak to a person.
  {
    files: [
      'test/*.ts',
      'test/{cluster,demo}/**/*.ts',
      'test/{simulation,integration/chaos}/main.ts',
      'test/e2e/**/*.ts',
      'common/crd/main.ts',
      'cli/**/*.ts',
    ],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        fetch: 'readonly',
        setTimeout: 'readonly',
        URL: 'readonly',
        AbortSignal: 'readonly',
        DOMException: 'readonly',
      },
    },
  },
);
