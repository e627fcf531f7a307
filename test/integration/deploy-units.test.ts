import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';

const units = join(import.meta.dirname, '..', '..', 'deploy', 'systemd');
/** What `systemd-analyze security` says of them, from 0 (nothing is exposed) to 10; the agent looks at the processes of all users. */
const MOST_EXPOSED = { server: 1.8, agent: 3, oidc: 2 };

const version = /systemd (\d+)/u.exec(
  // No text but null where there is no such program.
  String(spawnSync('systemd-analyze', ['--version']).stdout),
)?.[1];
const isThere = Number(version) >= 250;

/** A root folder with the units, what they start, and the targets that every unit hangs on. */
function rootFolder(root: string): void {
  const folder = join(root, 'lib/systemd/system');
  mkdirSync(folder, { recursive: true });
  cpSync(units, folder, { recursive: true });
  const targets = ['sysinit', 'basic', 'shutdown', 'sockets', 'network-online', 'multi-user', 'umount'];
  for (const name of targets) {
    writeFileSync(join(folder, `${name}.target`), `[Unit]\nDescription=${name}\nDefaultDependencies=no\n`);
  }
  for (const slice of ['-', 'system']) writeFileSync(join(folder, `${slice}.slice`), '[Slice]\n');
  const programs = ['usr/bin/bonafide-server', 'usr/bin/bonafide-agent', 'usr/bin/bonafide-oidc', 'bin/kill'];
  for (const program of programs) {
    mkdirSync(join(root, program, '..'), { recursive: true });
    writeFileSync(join(root, program), '#!/bin/sh\n');
    chmodSync(join(root, program), 0o755);
  }
}

describe.skipIf(!isThere)('the systemd units (needs systemd-analyze 250)', () => {
  it('have no line that systemd does not know or would pass over', () => {
    using root = createTemporaryDirectory();
    rootFolder(root.path);
    const names = readdirSync(units);
    expect(names.toSorted()).toEqual([
      'bonafide-agent.service',
      'bonafide-agent.socket',
      'bonafide-oidc.service',
      'bonafide-server.service',
    ]);
    const verify = ['verify', '--man=no', `--root=${root.path}`, ...names];
    const { stdout, stderr, status } = spawnSync('systemd-analyze', verify, { encoding: 'utf8' });
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('bonafide'))).toEqual([]);
    expect(status).toBe(0);
  });

  it.each(Object.entries(MOST_EXPOSED))('leave bonafide-%s exposed to no more than %d', (program, most) => {
    using root = createTemporaryDirectory();
    rootFolder(root.path);
    const security = ['security', '--offline=true', `--root=${root.path}`, `--threshold=${most * 10}`];
    const { stdout, stderr, status } = spawnSync(
      'systemd-analyze',
      [...security, '--no-pager', `bonafide-${program}.service`],
      { encoding: 'utf8' },
    );
    const level = /Overall exposure level for \S+: ([\d.]+)/u.exec(stdout)?.[1];
    expect(Number(level), stderr).toBeLessThanOrEqual(most);
    expect(status).toBe(0);
  });
});
