import { createHash } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { canRunAsOthers, spawnAs, type Account } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import type { AttestedProcess } from './attested-process.js';
import { attestorHost } from './attestor-host-samples.js';
import { unix } from './unix.js';

const signal = new AbortController().signal;
let directory: TemporaryDirectory;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = createTemporaryDirectory({ isPublic: true });
  writeFileSync(
    directory.join('passwd'),
    'alice:x:1000:1000::/:/bin/sh\nworkload:x:64001:64002::/:/bin/sh\n',
  );
  writeFileSync(directory.join('group'), 'staff:x:1000:\nworkloads:x:64002:\nextra:x:64010:workload\n');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  directory.remove();
});

/** The attestor's answer as text, in its order. */
async function attest(
  process: AttestedProcess,
  config: Record<string, unknown> = {},
): Promise<readonly string[]> {
  const host = attestorHost({
    passwdPath: directory.join('passwd'),
    groupPath: directory.join('group'),
  });
  const selectors = await unix.create(unix.configSchema.parse(config), host).attest(process, signal);
  return selectors.map(formatSelector);
}

/** A folder in the form of procfs. */
function fakeProcess(status: string, exe?: string): AttestedProcess {
  const procPath = directory.join('proc');
  mkdirSync(procPath);
  writeFileSync(`${procPath}/status`, status);
  if (exe !== undefined) symlinkSync(exe, `${procPath}/exe`);
  return { pid: 7, uid: 1000, gid: 1000, procPath, isAlive: () => true };
}

const STATUS = 'Name:\tweb\nUid:\t0\t1000\t0\t0\nGid:\t0\t1000\t0\t0\nGroups:\t64010 5 \n';

async function realProcess(
  command: string,
  account?: Account,
): Promise<{ child: ChildProcess; process: AttestedProcess }> {
  const child = spawnAs(account, command, ['60'], { stdio: 'ignore', cwd: '/' });
  children.push(child);
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  await waitFor('the program to run', () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(command));
  const uid = account?.uid ?? process.geteuid?.() ?? -1;
  const gid = account?.gid ?? process.getegid?.() ?? -1;
  return { child, process: { pid, uid, gid, procPath: `/proc/${pid}`, isAlive: () => true } };
}

function sleepBinary(name: string): string {
  const path = directory.join(name);
  copyFileSync('/bin/sleep', path);
  return path;
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe('the unix attestor', () => {
  it('proves user, group and supplementary groups, by number and by name where there is one', async () => {
    expect(await attest(fakeProcess(STATUS))).toEqual([
      'unix:uid:1000',
      'unix:user:alice',
      'unix:gid:1000',
      'unix:group:staff',
      'unix:supplementary_gid:64010',
      'unix:supplementary_group:extra',
      'unix:supplementary_gid:5',
    ]);
  });

  it.each([
    ['user', STATUS.replace('Uid:\t0\t1000', 'Uid:\t0\t0')],
    ['group', STATUS.replace('Gid:\t0\t1000', 'Gid:\t0\t0')],
  ])('refuses a process that changed its %s after it connected', async (_name, status) => {
    await expect(attest(fakeProcess(status))).rejects.toMatchObject({ reason: 'unauthenticated' });
  });

  it('fails for a process that has gone', async () => {
    const gone = { pid: 7, uid: 1000, gid: 1000, procPath: directory.join('gone'), isAlive: () => false };
    await expect(attest(gone)).rejects.toThrow('ENOENT');
  });

  it('proves path and digest of a real binary when told to, even with spaces and colons in its path', async () => {
    const path = sleepBinary('my sleep: the 2nd');
    const { process } = await realProcess(path);
    expect((await attest(process)).filter((text) => /path|sha256/.test(text))).toEqual([]);
    expect(await attest(process, { discover_workload_path: true })).toEqual(
      expect.arrayContaining([`unix:path:${path}`, `unix:sha256:${sha256Of('/bin/sleep')}`]),
    );
  });

  it('hashes what runs, not what lies at its path now', async () => {
    const path = sleepBinary('upgraded');
    const { process } = await realProcess(path);
    unlinkSync(path);
    writeFileSync(path, 'something else');
    expect(await attest(process, { discover_workload_path: true })).toEqual(
      expect.arrayContaining([`unix:path:${path} (deleted)`, `unix:sha256:${sha256Of('/bin/sleep')}`]),
    );
  });

  it('leaves the digest out, or fails, as the size limit says', async () => {
    const { process } = await realProcess(sleepBinary('sleep'));
    const without = await attest(process, { discover_workload_path: true, workload_size_limit: -1 });
    expect(without.filter((text) => /path|sha256/.test(text))).toEqual([
      `unix:path:${directory.join('sleep')}`,
    ]);
    await expect(attest(process, { discover_workload_path: true, workload_size_limit: 100 })).rejects.toThrow(
      'more than the workload_size_limit of 100',
    );
  });

  it('refuses a path that is not UTF-8, which a selector could confuse with another', async () => {
    const path = Buffer.concat([Buffer.from(directory.path), Buffer.from('/sl\xff', 'latin1')]);
    copyFileSync('/bin/sleep', path);
    const procPath = directory.join('proc');
    mkdirSync(procPath);
    writeFileSync(`${procPath}/status`, STATUS);
    symlinkSync(path, `${procPath}/exe`);
    const process = { pid: 7, uid: 1000, gid: 1000, procPath, isAlive: () => true };
    await expect(attest(process, { discover_workload_path: true })).rejects.toThrow('not UTF-8');
  });

  it.runIf(canRunAsOthers())('proves the groups of a process of another user', async () => {
    const account = { uid: 64_001, gid: 64_002, groups: [64_010, 64_011] };
    const { process } = await realProcess('/bin/sleep', account);
    expect(await attest(process)).toEqual([
      'unix:uid:64001',
      'unix:user:workload',
      'unix:gid:64002',
      'unix:group:workloads',
      'unix:supplementary_gid:64010',
      'unix:supplementary_group:extra',
      'unix:supplementary_gid:64011',
    ]);
  });

  it('fails as a whole when the agent may not see the binary', async () => {
    const hidden = fakeProcess(STATUS); // a folder without the exe link
    await expect(attest(hidden, { discover_workload_path: true })).rejects.toThrow('ENOENT');
  });

  it('tells binaries of the same name apart', async () => {
    mkdirSync(directory.join('a'));
    mkdirSync(directory.join('b'));
    const paths = [sleepBinary('a/sleep'), sleepBinary('b/sleep')];
    writeFileSync(paths[1] ?? '', Buffer.concat([readFileSync('/bin/sleep'), Buffer.from('!')]));
    const digests = await Promise.all(
      paths.map(async (path) => {
        const { process } = await realProcess(path);
        return (await attest(process, { discover_workload_path: true })).find((text) =>
          text.includes('sha256'),
        );
      }),
    );
    expect(digests).toEqual(paths.map((path) => `unix:sha256:${sha256Of(path)}`));
  });
});
