import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { findFreePort } from '@bonafide/testing/free-port';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { makeCleanRoot, whyNoCleanRoot } from './packages/clean-root.js';
import { startUnit } from './packages/started-unit.js';

const repository = join(import.meta.dirname, '..', '..');
const missing = whyNoCleanRoot();
const WORKLOAD_UID = 4321;
const STRANGER_UID = 4322;

function inRoot(root: string, uid: number, command: readonly string[]) {
  const account = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  return spawnSync('chroot', [root, 'setpriv', ...account, '--', ...command], {
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin' },
  });
}

function replaceIn(path: string, ...changes: readonly (readonly [RegExp, string])[]): void {
  let text = readFileSync(path, 'utf8');
  for (const [from, to] of changes) {
    expect(text).toMatch(from);
    text = text.replace(from, to);
  }
  writeFileSync(path, text);
}

describe.skipIf(missing !== undefined)(`the Debian packages (needs ${missing ?? 'nothing more'})`, () => {
  let packages: readonly string[] = [];

  beforeAll(() => {
    const output = createTemporaryDirectory();
    const options = ['--deb', '--compression', 'none', '--output', output.path];
    execFileSync(process.execPath, [join(repository, 'scripts/package.mjs'), ...options], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    packages = readdirSync(output.path)
      .filter((name) => name.endsWith('.deb'))
      .map((name) => join(output.path, name));
    return () => {
      output[Symbol.dispose]();
    };
  });

  it('install on a fresh machine, start by their units, attest a node and give a workload its SVID', async () => {
    expect(packages.map((file) => /bonafide-([a-z]+)_/u.exec(file)?.[1]).toSorted()).toEqual([
      'agent',
      'oidc',
      'runtime',
      'server',
    ]);
    using directory = createTemporaryDirectory({ isPublic: true });
    const root = directory.path;
    makeCleanRoot(root, packages);
    const dpkg = (...args: readonly string[]) =>
      spawnSync('dpkg', [`--root=${root}`, '--force-unsafe-io', ...args], { encoding: 'utf8' });
    const installation = dpkg('--install', ...packages);
    expect(installation.stderr + installation.stdout).toContain('Setting up bonafide-server');
    expect(installation.status).toBe(0);
    expect(dpkg('--verify', 'bonafide-server', 'bonafide-agent', 'bonafide-oidc').stdout).toBe('');

    // Nobody but root and the units' users reads a configuration, nobody but root the token.
    const group = Number(/^bonafide:x:(\d+):/mu.exec(readFileSync(join(root, 'etc/group'), 'utf8'))?.[1]);
    const modes = ['server.yaml', 'agent.yaml', 'oidc.yaml', 'join-token'].map((name) => {
      const { mode, uid, gid } = statSync(join(root, 'etc/bonafide', name));
      return [name, (mode & 0o777).toString(8), uid, gid];
    });
    expect(modes).toEqual([
      ['server.yaml', '640', 0, group],
      ['agent.yaml', '640', 0, group],
      ['oidc.yaml', '640', 0, group],
      ['join-token', '600', 0, 0],
    ]);

    const port = await findFreePort();
    replaceIn(join(root, 'etc/bonafide/server.yaml'), [/bind_port: \d+/u, `bind_port: ${port}`]);
    replaceIn(
      join(root, 'etc/bonafide/agent.yaml'),
      [/server_address: \S+/u, 'server_address: 127.0.0.1'],
      [/server_port: \d+/u, `server_port: ${port}`],
    );
    await using server = await startUnit(root, 'bonafide-server');
    const operator = (...args: readonly string[]): string => {
      const { status, stdout, stderr } = inRoot(root, 0, ['/usr/bin/bonafide-server', ...args]);
      if (status !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}\n${server.output()}`);
      return stdout;
    };
    expect(operator('healthcheck')).toContain('healthy');
    const stranger = inRoot(root, STRANGER_UID, ['/usr/bin/bonafide-server', 'entry', 'show']);
    expect(stranger.status).not.toBe(0);

    writeFileSync(join(root, 'etc/bonafide/bundle.pem'), operator('bundle', 'show'));
    const token = /^Token: (\S+)$/mu.exec(operator('token', 'generate'))?.[1] ?? '';
    writeFileSync(join(root, 'etc/bonafide/join-token'), `${token}\n`);
    await using agent = await startUnit(root, 'bonafide-agent');
    const parent = `spiffe://example.org/spire/agent/join_token/${token}`;
    // Which program a process of another user runs, only those may see who may trace it.
    // The kernel names it from the root of the mount namespace, of which this folder is no part of its own.
    const program = join(realpathSync(root), 'usr/lib/bonafide/node');
    const selectors = [`unix:uid:${WORKLOAD_UID}`, `unix:path:${program}`];
    operator(
      ...['entry', 'create', '--parent-id', parent, '--spiffe-id', 'spiffe://example.org/web'],
      ...selectors.flatMap((selector) => ['--selector', selector]),
    );

    const fetch = (uid: number) => inRoot(root, uid, ['/usr/bin/bonafide-agent', 'api', 'fetch', 'x509']);
    await waitFor(
      'the workload to have its SVID',
      () => fetch(WORKLOAD_UID).stdout.includes('spiffe://example.org/web'),
      { limitMs: 150_000, intervalMs: 200, explain: agent.output },
    );
    expect(fetch(STRANGER_UID).stdout).not.toContain('spiffe://example.org/web');

    for (const unit of [agent, server]) {
      await waitFor(
        'the watchdog to be told',
        () => unit.notices().filter((text) => text === 'WATCHDOG=1').length > 1,
      );
      expect(await unit.stop()).toBe(0);
      expect(unit.notices().at(-1)).not.toBe('READY=1');
      expect(unit.notices()).toContain('STOPPING=1');
    }

    expect(dpkg('--purge', 'bonafide-server', 'bonafide-agent').stderr).toContain('keys and data are left');
    expect(statSync(join(root, 'var/lib/private/bonafide-server')).isDirectory()).toBe(true);
    expect(readdirSync(join(root, 'etc/bonafide')).toSorted()).toEqual(['bundle.pem', 'oidc.yaml']);
  });
});
