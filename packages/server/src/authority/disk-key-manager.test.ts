import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { verify } from 'node:crypto';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { DiskKeyManager } from './disk-key-manager.js';

describe('DiskKeyManager', () => {
  it('keeps its keys across a restart, in a file that only its owner can read', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys', 'keys.json');
    const first = await DiskKeyManager.open(path);
    const made = await first.generateKey('one', 'ec-p384');
    await first.generateKey('two', 'ec-p256');

    const second = await DiskKeyManager.open(path);
    expect(await second.listKeyIds()).toEqual(['one', 'two']);
    const found = await second.getSigner('one');
    if (found === undefined) throw new Error('the key is lost');
    expect(found.keyType).toBe('ec-p384');
    expect(exportSpki(found.publicKey)).toEqual(exportSpki(made.publicKey));
    const data = Buffer.from('data');
    expect(verify('sha384', data, made.publicKey, await found.sign(data, 'sha384'))).toBe(true);
    expect(await second.getSigner('three')).toBeUndefined();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(path))).toEqual(['keys.json']);
  });

  it('replaces a key of the same name, and forgets a deleted one', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys.json');
    const manager = await DiskKeyManager.open(path);
    const before = await manager.generateKey('one', 'ec-p256');
    const after = await manager.generateKey('one', 'ec-p256');
    expect(exportSpki(after.publicKey)).not.toEqual(exportSpki(before.publicKey));
    expect(await manager.getSigner('one')).toBe(after);
    await manager.deleteKey('one');
    await manager.deleteKey('never there');
    expect(await manager.getSigner('one')).toBeUndefined();
    expect(await (await DiskKeyManager.open(path)).listKeyIds()).toEqual([]);
  });

  it('loses none of the keys that are made at once', async () => {
    using directory = createTemporaryDirectory();
    const manager = await DiskKeyManager.open(directory.join('keys.json'));
    const names = Array.from({ length: 20 }, (_, index) => `key-${index}`);
    await Promise.all(names.map((name) => manager.generateKey(name, 'ec-p256')));
    const reopened = await DiskKeyManager.open(directory.join('keys.json'));
    expect([...(await reopened.listKeyIds())].sort()).toEqual([...names].sort());
  });

  it('has no key that it could not write', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys.json');
    const manager = await DiskKeyManager.open(path);
    mkdirSync(path); // a file cannot take the place of a folder
    await expect(manager.generateKey('one', 'ec-p256')).rejects.toMatchObject({ reason: 'unavailable' });
    expect(await manager.getSigner('one')).toBeUndefined();
    expect(readdirSync(directory.path)).toEqual(['keys.json']);
  });

  it('reads what SPIRE wrote', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys.json');
    const manager = await DiskKeyManager.open(path);
    await manager.generateKey('x509-CA-A', 'rsa-2048');
    const { keys } = JSON.parse(readFileSync(path, 'utf8')) as {
      readonly keys: Readonly<Record<string, string>>;
    };
    expect(Object.keys(keys)).toEqual(['x509-CA-A']);
    expect(Buffer.from(keys['x509-CA-A'] ?? '', 'base64')[0]).toBe(0x30);
  });

  it('refuses a file that others may read', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys.json');
    writeFileSync(path, '{"keys": {}}');
    chmodSync(path, 0o640);
    await expect(DiskKeyManager.open(path)).rejects.toThrow(`chmod 600 ${path}`);
  });

  it.each([
    ['nothing', ''],
    ['half a file', '{"keys": {"one": "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH'],
    ['other members', '{"keys": {}, "more": 1}'],
    ['a key that is not base64', '{"keys": {"one": "SECRETSECRET!"}}'],
    ['a key that is not PKCS#8', '{"keys": {"one": "U0VDUkVUU0VDUkVU"}}'],
  ])('refuses a file with %s, without quoting it and without touching it', async (_name, text) => {
    using directory = createTemporaryDirectory();
    const path = directory.join('keys.json');
    writeFileSync(path, text, { mode: 0o600 });
    const opened = DiskKeyManager.open(path);
    await expect(opened).rejects.toMatchObject({ reason: 'failed_precondition' });
    await expect(opened).rejects.toThrow(`the key file ${path} is damaged`);
    await expect(opened).rejects.not.toThrow(/SECRET|U0VD|MIGH/);
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(existsSync(path)).toBe(true);
  });
});
