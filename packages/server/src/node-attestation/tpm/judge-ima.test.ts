import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { digestBytes } from '@bonafide/shared/tpm/algorithm';
import { parseImaList } from '@bonafide/shared/tpm/measured-boot/ima-list';
import { templateHash } from '@bonafide/shared/tpm/measured-boot/match-ima-list';
import { LARGEST_IMA_LIST_BYTES } from '@bonafide/shared/tpm/proof/tpm-evidence';
import type { VerifiedQuote } from '@bonafide/shared/tpm/proof/verify-quote';
import { ImaExamination } from './judge-ima.js';
import type { TpmTestimony } from './tpm-interview.js';
import type { ImaPosition } from './tpm-record.js';

const sha256 = (...parts: readonly (Buffer | string)[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const field = (bytes: Buffer): Buffer => Buffer.concat([uint32(bytes.length), bytes]);

function entry(path: string, digest: Buffer): Buffer {
  const data = Buffer.concat([
    field(Buffer.concat([Buffer.from('sha256:\0'), digest])),
    field(Buffer.from(`${path}\0`)),
  ]);
  const template = createHash('sha1').update(data).digest();
  return Buffer.concat([uint32(10), template, field(Buffer.from('ima-ng')), field(data)]);
}

const ZERO = Buffer.alloc(digestBytes('sha256'));
const bootPcrs = Array.from({ length: 10 }, (_, pcr) => sha256(`pcr ${pcr}`));
const boot = entry('boot_aggregate', sha256(...bootPcrs));
const known = sha256('a program');
const allowed = { digests: new Set([known.toString('hex')]), version: 'v1' };

function pcr10(list: Buffer): Buffer {
  return parseImaList(list).reduce<Buffer>(
    (value, entry) => sha256(value, templateHash(entry, 'sha256')),
    ZERO,
  );
}

/** @param measured what the kernel measured. @param from which entry the list that is shown begins. */
function testimony(measured: Buffer, shown = measured, from = 0): TpmTestimony {
  const values = new Map<number, Buffer>([...bootPcrs.entries(), [10, pcr10(measured)]]);
  const clock = { clock: 1n, resetCount: 1, restartCount: 0, isSafe: true };
  const quote: VerifiedQuote = { ...clock, firmwareVersion: 1n, bank: 'sha256', values };
  return { quotes: new Map([['sha256', quote]]), eventLog: undefined, ima: { from, list: shown } };
}

function examination(from?: ImaPosition): ImaExamination {
  return new ImaExamination(allowed, 'sha256', from);
}

describe('the list of measured files', () => {
  it('is judged up to where the quote was made', async () => {
    const measured = Buffer.concat([boot, entry('/bin/a', known)]);
    const later = Buffer.concat([measured, entry('/bin/evil', sha256('evil'))]);
    const verdict = await examination().examine(testimony(measured, later));
    expect(verdict).toMatchObject({ findings: [], position: { count: 2 } });
  });

  it('of a machine that measures nothing vouches for nothing', async () => {
    const verdict = await examination().examine(testimony(Buffer.alloc(0)));
    expect(verdict?.position).toBeUndefined();
    expect(verdict?.findings).toMatchObject([
      { kind: 'ima', text: expect.stringContaining('nothing was') as string },
    ]);
  });

  it('that was empty when it was judged is judged from its beginning, with the boot that it is of', async () => {
    const empty = { version: 'v1', bank: 'sha256', count: 0, aggregate: ZERO.toString('hex') } as const;
    const foreign = entry('boot_aggregate', sha256('another boot'));
    const verdict = await examination(empty).examine(testimony(foreign));
    expect(verdict?.position).toBeUndefined();
    expect(verdict?.findings[0]?.text).toContain('boot aggregate is not that of the quoted PCRs');
  });

  it('goes on from where it was judged, and not from elsewhere', async () => {
    const before = Buffer.concat([boot, entry('/bin/a', known)]);
    const more = entry('/bin/evil', sha256('evil'));
    const at = { version: 'v1', bank: 'sha256', count: 2, aggregate: pcr10(before).toString('hex') } as const;
    const whole = Buffer.concat([before, more]);
    expect((await examination(at).examine(testimony(whole, more, 2)))?.findings).toMatchObject([
      { text: 'a file that is not on the allow-list was run: "/bin/evil"' },
    ]);
    expect((await examination(at).examine(testimony(whole, whole, 0)))?.position).toBeUndefined();
    expect(await examination(at).examine(testimony(before, Buffer.alloc(0), 2))).toMatchObject({
      findings: [],
    });
    // Of another version of the allow-list: from the beginning.
    expect(examination({ ...at, version: 'v0' }).nextEntry).toBe(0);
  });

  it('is judged piece by piece, when it is too long for one answer and grows meanwhile', async () => {
    const files = Array.from({ length: 30 }, (_, index) => entry(`/bin/${index}`, known));
    const measured = Buffer.concat([boot, ...files.slice(0, 20)]);
    const later = Buffer.concat([boot, ...files.slice(0, 25)]);
    const ima = examination();
    expect(
      await ima.examine(testimony(measured, Buffer.concat([boot, ...files.slice(0, 7)]))),
    ).toBeUndefined();
    expect(ima.nextEntry).toBe(8);
    expect(await ima.examine(testimony(later, Buffer.concat(files.slice(7, 12)), 8))).toBeUndefined();
    const verdict = await ima.examine(testimony(later, Buffer.concat(files.slice(12)), 13));
    expect(verdict).toMatchObject({ findings: [], position: { count: 26 } });
    // A second boot's first piece does not go on from there.
    expect(
      (await examination().examine(testimony(later, Buffer.concat(files), 1)))?.position,
    ).toBeUndefined();
  });

  it('is refused when it ends before the quote, or leaves something out', async () => {
    const measured = Buffer.concat([boot, entry('/bin/evil', sha256('evil')), entry('/bin/a', known)]);
    const ima = examination();
    expect(
      await ima.examine(testimony(measured, Buffer.concat([boot, entry('/bin/a', known)]))),
    ).toBeUndefined();
    expect((await ima.examine(testimony(measured, Buffer.alloc(0), 2)))?.findings).toMatchObject([
      { text: expect.stringContaining('does not lead to PCR 10 as it was quoted') as string },
    ]);
    expect((await examination().examine({ ...testimony(measured), ima: undefined }))?.findings).toMatchObject(
      [{ text: expect.stringContaining('shows no list of measured files') as string }],
    );
    expect(
      (await examination().examine(testimony(measured, Buffer.from('garbage'))))?.position,
    ).toBeUndefined();
  });

  it('names the first files that are not allowed, counts the others, and counts violations', async () => {
    const strangers = Array.from({ length: 7 }, (_, index) => entry(`/tmp/x${index}\n`, sha256(`${index}`)));
    const violation = Buffer.from(entry('/var/log/changing', known));
    violation.fill(0, 4, 24);
    const measured = Buffer.concat([boot, ...strangers, entry('/bin/a', known), violation, violation]);
    const verdict = await examination().examine(testimony(measured));
    expect(verdict?.findings.map(({ text }) => text)).toEqual([
      ...[0, 1, 2, 3, 4].map((index) => `a file that is not on the allow-list was run: "/tmp/x${index}\\n"`),
      '2 more files that are not on the allow-list were run',
      '2 files changed while they were measured',
    ]);
    expect(verdict?.findings[0]?.after).toBe(`sha256:${sha256('0').toString('hex')}`);
    expect(verdict?.position).toMatchObject({ count: 11 });
  });

  it('of the longest kind lets others have their turn, and a longer one is refused unread', async () => {
    const one = entry(`/${'a'.repeat(200)}`, known);
    const count = Math.floor((LARGEST_IMA_LIST_BYTES - boot.length) / one.length);
    const measured = Buffer.concat([boot, ...Array.from({ length: count }, () => one)]);
    const shown = testimony(measured);
    let turns = 0;
    const over = new AbortController();
    const others = (async () => {
      while (!over.signal.aborted) {
        turns += 1;
        await nextTurn();
      }
    })();
    const verdict = await examination().examine(shown);
    over.abort();
    await others;
    expect(verdict).toMatchObject({ findings: [], position: { count: count + 1 } });
    expect(turns).toBeGreaterThan(count / 1000);
    const longer = await examination().examine(testimony(boot, Buffer.alloc(LARGEST_IMA_LIST_BYTES + 1)));
    expect(longer?.findings).toMatchObject([{ text: expect.stringContaining('more than') as string }]);
  });
});
