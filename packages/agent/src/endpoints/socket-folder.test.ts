import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { prepareSocketFolder } from './socket-folder.js';

describe('prepareSocketFolder', () => {
  it('makes the missing folders for every user, whatever the umask is, but leaves those that exist as they are', async () => {
    using directory = createTemporaryDirectory();
    mkdirSync(directory.join('private'), { mode: 0o700 });
    await prepareSocketFolder(directory.join('private/run/deeper/agent.sock'));
    await prepareSocketFolder(directory.join('private/agent.sock'));
    expect(statSync(directory.join('private')).mode & 0o777).toBe(0o700);
    expect(statSync(directory.join('private/run')).mode & 0o777).toBe(0o755);
    expect(statSync(directory.join('private/run/deeper')).mode & 0o777).toBe(0o755);
  });

  it('refuses a path that is not absolute', async () => {
    await expect(prepareSocketFolder('run/agent.sock')).rejects.toThrow(
      'socket path "run/agent.sock" is not absolute; expected one such as /run/agent.sock',
    );
  });

  it('says what the system refuses', async () => {
    using directory = createTemporaryDirectory();
    writeFileSync(directory.join('file'), '');
    await expect(prepareSocketFolder(directory.join('file/agent.sock'))).rejects.toThrow(
      /cannot listen on .*file\/agent.sock: .*(ENOTDIR|EEXIST)/,
    );
  });
});
