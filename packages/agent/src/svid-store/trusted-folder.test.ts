import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requireTrustedFolder } from './trusted-folder.js';

const BOB = { uid: 64_002, gid: 64_002 };
let directory: TemporaryDirectory;
let folder: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  mkdirSync(directory.join('home'));
  folder = directory.join('home', 'svid');
  mkdirSync(folder, { mode: 0o755 });
});
afterEach(() => {
  directory.remove();
});

describe('a folder for keys', () => {
  it('is one that nobody but its owner and root can replace', async () => {
    await expect(requireTrustedFolder(folder)).resolves.toBeUndefined();
  });

  it.runIf(canRunAsOthers())('is not below one of somebody else, who can replace it', async () => {
    chownSync(directory.join('home'), BOB.uid, BOB.gid);
    await expect(requireTrustedFolder(folder)).rejects.toThrow(`belongs to user ${BOB.uid}`);
    chmodSync(directory.join('home'), 0o1777);
    await expect(requireTrustedFolder(folder)).rejects.toThrow(`belongs to user ${BOB.uid}`);
  });
});
