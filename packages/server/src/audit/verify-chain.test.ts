import { readFileSync } from 'node:fs';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { beforeAll, describe, expect, it } from 'vitest';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { exampleEvent, openTestAudit } from './audit-fixtures.js';
import { hash } from 'node:crypto';
import { ChainVerifier, type ChainVerifierOptions, type VerifiedChain } from './verify-chain.js';

/** Line by line, as files are read. */
async function verify(data: Buffer, options: Partial<ChainVerifierOptions> = {}): Promise<VerifiedChain> {
  const verifier = new ChainVerifier({ keys: [], isOpen: false, ...options });
  let start = 0;
  for (let line = 1; start < data.length; line += 1) {
    const end = data.indexOf(0x0a, start);
    const isEnded = end !== -1;
    await verifier.add(data.subarray(start, isEnded ? end : data.length), `line ${line}`, isEnded);
    start = isEnded ? end + 1 : data.length;
  }
  return verifier.end();
}

async function problemsOf(data: Buffer, options?: Partial<ChainVerifierOptions>): Promise<string> {
  return (await verify(data, options)).problems.map(({ message }) => message).join('; ');
}

async function logOf(count: number): Promise<Buffer> {
  using directory = createTemporaryDirectory();
  const path = directory.join('audit.log');
  const { audit, close } = await openTestAudit(path);
  for (let index = 0; index < count; index += 1) await audit.record(exampleEvent(index));
  await close();
  return readFileSync(path);
}

describe('an audit log', () => {
  let whole: Buffer;
  let lines: string[];
  const joined = (some: readonly string[]): Buffer => Buffer.from(some.map((line) => `${line}\n`).join(''));

  beforeAll(async () => {
    whole = await logOf(3);
    lines = whole.toString().split('\n').slice(0, -1);
  });

  it('is as it was written when nobody touched it', async () => {
    expect(await verify(whole)).toMatchObject({ problems: [], records: 6, checkpoints: 2, unsigned: 0 });
  });

  it('is found to be changed wherever one byte of it was flipped', async () => {
    const missed: number[] = [];
    for (let index = 0; index < whole.length; index += 1) {
      const flipped = Buffer.from(whole);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << (index % 8));
      if ((await verify(flipped)).problems.length === 0) missed.push(index);
    }
    expect(missed).toEqual([]);
  });

  it('is found to be short wherever it was cut', async () => {
    const missed: number[] = [];
    for (let length = 0; length < whole.length; length += 1) {
      if ((await verify(whole.subarray(0, length))).problems.length === 0) missed.push(length);
    }
    expect(missed).toEqual([]);
  });

  it('misses every line that was taken out, doubled or moved', async () => {
    for (let index = 0; index < lines.length; index += 1) {
      expect(await problemsOf(joined(lines.toSpliced(index, 1))), `without ${index}`).not.toBe('');
      expect(
        await problemsOf(joined(lines.toSpliced(index, 0, lines[index] ?? ''))),
        `twice ${index}`,
      ).not.toBe('');
      const [one = '', two = ''] = [lines[index], lines[index + 1]];
      if (two === '') continue;
      expect(await problemsOf(joined(lines.toSpliced(index, 2, two, one))), `swapped ${index}`).not.toBe('');
    }
  });

  it('shows a record that somebody without the key has appended', async () => {
    const last = JSON.parse(lines.at(-1) ?? '') as { seq: number; hash: string };
    const forged = sealed({ ...(JSON.parse(lines[3] ?? '') as object), seq: last.seq + 1, prev: last.hash });
    expect(await problemsOf(joined([...lines, forged]))).toContain('its last 1 records are not signed');
  });

  it('shows a checkpoint that was made for another place', async () => {
    const last = JSON.parse(lines.at(-1) ?? '') as { seq: number; hash: string };
    const moved = sealed({
      ...(JSON.parse(lines.at(-1) ?? '') as object),
      seq: last.seq + 1,
      prev: last.hash,
    });
    expect(await problemsOf(joined([...lines, moved]))).toContain('the signature of the checkpoint is wrong');
  });

  it('shows a history that was rewritten by somebody with a key of their own', async () => {
    const other = await logOf(5);
    const { keys } = await verify(whole);
    expect(await problemsOf(other)).toBe('');
    expect(await problemsOf(other, { keys })).toContain('goes on with another key');
    expect(await problemsOf(whole, { keys })).toBe('');
  });

  it('shows a log that goes on with another key, unless that one is trusted as well', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    for (let run = 0; run < 2; run += 1) {
      const { audit, close } = await openTestAudit(path, { keyManager: new MemoryKeyManager() });
      await audit.record(exampleEvent(run));
      await close();
    }
    const data = readFileSync(path);
    const text = data.toString();
    const keys = [...text.matchAll(/"key":"([^"]+)"/g)].map(([, key = '']) => key);
    expect(await problemsOf(data)).toContain('goes on with another key');
    expect(await problemsOf(data, { keys })).toBe('');
  });

  it('that is still written to need not be signed up to its end, but must not miss what was signed', async () => {
    const open = joined(lines.slice(0, -2));
    expect(await problemsOf(open)).toContain('does not end as a log that was closed');
    expect(await problemsOf(open, { isOpen: true })).toBe('');
    const { last } = await verify(whole);
    expect(await problemsOf(open, { isOpen: true, expected: last })).toContain(
      'which the server signed, is not in it',
    );
  });

  it('of another server does not go on in this one', async () => {
    const last = JSON.parse(lines.at(-1) ?? '') as { seq: number; hash: string };
    const other = {
      ...(JSON.parse(lines[3] ?? '') as object),
      server_id: 'two',
      seq: last.seq + 1,
      prev: last.hash,
    };
    expect(await problemsOf(joined([...lines, sealed(other)]))).toContain('the server two');
  });
});

/** As one who knows how the log is made, and has no key. */
function sealed(record: object): string {
  const body = JSON.stringify({ ...record, hash: undefined });
  return `${body.slice(0, -1)},"hash":"${hash('sha256', body, 'hex')}"}`;
}
