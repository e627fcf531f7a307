import { describe, expect, it } from 'vitest';
import { decryptWithPassphrase, encryptWithPassphrase } from './passphrase-encryption.js';

const SECRET = Buffer.from('what nobody may read');

describe('bytes under a passphrase', () => {
  it('come back with it, and never look the same twice', async () => {
    const first = await encryptWithPassphrase(SECRET, 'correct horse', 'keys of example.org');
    const second = await encryptWithPassphrase(SECRET, 'correct horse', 'keys of example.org');
    expect(first.equals(second)).toBe(false);
    expect(first.includes(SECRET)).toBe(false);
    expect(await decryptWithPassphrase(first, 'correct horse', 'keys of example.org')).toEqual(SECRET);
  });

  it('stay closed to another passphrase and under another name', async () => {
    const encrypted = await encryptWithPassphrase(SECRET, 'correct horse', 'keys of example.org');
    const refusal = { reason: 'permission_denied' };
    await expect(decryptWithPassphrase(encrypted, 'battery', 'keys of example.org')).rejects.toMatchObject(
      refusal,
    );
    await expect(
      decryptWithPassphrase(encrypted, 'correct horse', 'keys of other.org'),
    ).rejects.toMatchObject(refusal);
  });

  it('stay closed when any byte of them was changed, and cost no more memory than ours do', async () => {
    const encrypted = await encryptWithPassphrase(SECRET, 'correct horse', 'x');
    // One of each part: magic, cost, salt, nonce, ciphertext, tag.
    for (const at of [0, 5, 6, 7, 10, 26, 40, encrypted.length - 1]) {
      const changed = Buffer.from(encrypted);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      await expect(decryptWithPassphrase(changed, 'correct horse', 'x'), `byte ${at}`).rejects.toMatchObject({
        reason: expect.stringMatching(/^(invalid_argument|permission_denied)$/) as string,
      });
    }
  });

  it.each([0, 1, 7, 8, 40, 51])('is told when only %i bytes of them are there', async (length) => {
    const encrypted = await encryptWithPassphrase(SECRET, 'p', 'x');
    await expect(decryptWithPassphrase(encrypted.subarray(0, length), 'p', 'x')).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });
});
