import { parseImaList } from '@bonafide/shared/tpm/ima-list';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { digestBytes } from '@bonafide/shared/tpm/algorithm';
import type { VerifiedQuote } from '@bonafide/shared/tpm/verify-quote';
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
  return parseImaList(list).reduce((value, { templateData }) => sha256(value, sha256(templateData)), ZERO);
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
  it('is judged up to where the quote was made', () => {
    const measured = Buffer.concat([boot, entry('/bin/a', known)]);
    const later = Buffer.concat([measured, entry('/bin/evil', sha256('evil'))]);
    const verdict = examination().examine(testimony(measured, later));
    expect(verdict).toMatchObject({ findings: [], position: { count: 2 } });
  });

  it('of a machine that measures nothing vouches for nothing', () => {
    const verdict = examination().examine(testimony(Buffer.alloc(0)));
    expect(verdict?.position).toBeUndefined();
    expect(verdict?.findings).toMatchObject([{ kind: 'ima', text: expect.stringContaining('nothing was') }]);
  });

  it('that was empty when it was judged is judged from its beginning, with the boot that it is of', () => {
    const empty = { version: 'v1', bank: 'sha256', count: 0, aggregate: ZERO.toString('hex') } as const;
    const foreign = entry('boot_aggregate', sha256('another boot'));
    const verdict = examination(empty).examine(testimony(foreign));
    expect(verdict?.position).toBeUndefined();
    expect(verdict?.findings[0]?.text).toContain('boot aggregate is not that of the quoted PCRs');
  });

  it('goes on from where it was judged, and not from elsewhere', () => {
    const before = Buffer.concat([boot, entry('/bin/a', known)]);
    const more = entry('/bin/evil', sha256('evil'));
    const at = { version: 'v1', bank: 'sha256', count: 2, aggregate: pcr10(before).toString('hex') } as const;
    const whole = Buffer.concat([before, more]);
    expect(examination(at).examine(testimony(whole, more, 2))?.findings).toMatchObject([
      { text: 'a file that is not on the allow-list was run: "/bin/evil"' },
    ]);
    expect(examination(at).examine(testimony(whole, whole, 0))?.position).toBeUndefined();
    expect(examination(at).examine(testimony(before, Buffer.alloc(0), 2))).toMatchObject({ findings: [] });
  });
});
