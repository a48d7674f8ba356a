// First step of the npm scripts that must work on a fresh clone: checks what the machine has, installs the packages of the lockfile when
// node_modules does not hold them, then runs the wanted TypeScript entry with the Node of node_modules/.bin.
// Plain JavaScript, for any Node from 20 on, and without a package. Usage: node test/bootstrap.mjs ENTRY [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const required = [
  { program: 'node', minMajor: 20, how: 'install Node.js 20 or later: https://nodejs.org' },
  { program: 'npm', minMajor: 9, how: 'npm comes with Node.js; npm install --global npm@latest updates it' },
  { program: 'git', minMajor: 2, how: 'apt-get install git' },
];

/** What is missing on this machine, a sentence each. */
function missing() {
  return required.flatMap(({ program, minMajor, how }) => {
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    const version = /\d+(\.\d+)*/.exec(stdout ?? '')?.[0];
    if (version === undefined) return [`${program} is not installed: ${how}`];
    return Number(version.split('.', 1)[0]) < minMajor
      ? [`${program} is ${version}, but ${String(minMajor)} or later is needed: ${how}`]
      : [];
  });
}

/** Whether node_modules holds what the lockfile names. By content: file times say little after a checkout. */
function installed() {
  const hidden = 'node_modules/.package-lock.json';
  if (!existsSync(hidden) || !existsSync('node_modules/.bin/node')) return false;
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional === true || present[path]?.version === entry.version,
  );
}

function run() {
  const lacking = missing();
  if (lacking.length > 0) {
    console.error(lacking.join('\n'));
    process.exit(1);
  }
  if (!installed()) {
    console.error('Installing the npm packages of package-lock.json (npm ci) ...');
    const install = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { stdio: 'inherit' });
    if (install.status !== 0) {
      console.error('npm ci failed. Behind a proxy with a CA of its own, set NODE_EXTRA_CA_CERTS to its certificate file.');
      process.exit(install.status ?? 1);
    }
  }
  const child = spawn('node_modules/.bin/node', process.argv.slice(2), { stdio: 'inherit' });
  // From a terminal the child gets SIGINT too, by itself: only wait for it then.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  child.on('exit', (code, signal) => {
    if (signal !== null) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else process.exitCode = code ?? 1;
  });
}

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
run();
