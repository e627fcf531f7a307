import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasReason } from '../../errors/bonafide-error.js';
import { matchImaList, recordedBoot, uint32 } from './boot-log/boot-log-fixtures.js';
import { MAXIMUM_IMA_ENTRIES, MAXIMUM_IMA_LIST_BYTES, parseImaList } from './ima-list.js';
import { bootAggregate, checkBootAggregate, templateHash } from './match-ima-list.js';

const on = recordedBoot('sb-on');
const pcr10 = on.quoted.get(10) ?? Buffer.alloc(0);
const entries = parseImaList(on.imaList);
const options = { bank: 'sha256', quoted: pcr10 } as const;

const field = (bytes: Buffer | string): Buffer =>
  Buffer.concat([uint32(Buffer.byteLength(bytes)), Buffer.from(bytes)]);
const sha256Of = (text: string): Buffer => createHash('sha256').update(text).digest();
const digestField = (text: string): Buffer =>
  field(Buffer.concat([Buffer.from('sha256:\0'), sha256Of(text)]));

interface Written {
  readonly pcr?: number;
  readonly template?: string;
  readonly data: Buffer;
  readonly templateDigest?: Buffer;
}

function write({ pcr = 10, template = 'ima-ng', data, templateDigest }: Written): Buffer {
  const digest = templateDigest ?? createHash('sha1').update(data).digest();
  return Buffer.concat([uint32(pcr), digest, field(template), field(data)]);
}

const fileData = (path: string): Buffer => Buffer.concat([digestField(path), field(`${path}\0`)]);
const file = (path: string): Buffer => write({ data: fileData(path) });

function extend(values: readonly Buffer[], start = Buffer.alloc(32)): Buffer {
  return values.reduce((before, value) => createHash('sha256').update(before).update(value).digest(), start);
}

describe('the recorded IMA list', () => {
  it('says what the kernel says in its own words', () => {
    const lines = on.imaAscii.trim().split('\n');
    expect(entries.length).toBe(lines.length);
    for (const [place, { templateDigest, file: measured }] of entries.entries()) {
      expect(
        `10 ${templateDigest.toString('hex')} ima-ng ${measured?.algorithm ?? ''}:${measured?.digest ?? ''} ${measured?.path ?? ''}`,
      ).toBe(lines[place]?.trim());
    }
  });

  it.each(['sb-on', 'sb-off'] as const)('of %s was quoted at its 19th entry, and grew afterwards', (name) => {
    const { imaList, quoted } = recordedBoot(name);
    const list = parseImaList(imaList);
    const match = matchImaList(list, { bank: 'sha256', quoted: quoted.get(10) ?? Buffer.alloc(0) });

    expect(match.progress).toEqual({ count: 19, aggregate: quoted.get(10) });
    expect(match.entries).toEqual(list.slice(0, 19));
    expect(match.files.length).toBe(18);
    expect(match.violations).toBe(0);
  });

  it('leads to PCR 10 of both banks as it was when the machine had started', () => {
    const first = entries.slice(0, 1);
    for (const bank of ['sha1', 'sha256'] as const) {
      const quoted = on.pcrs.get(bank)?.get(10) ?? Buffer.alloc(0);
      expect(matchImaList(first, { bank, quoted }).progress.count).toBe(1);
    }
  });

  it.each(['sb-on', 'sb-off'] as const)('of %s begins with the aggregate of the boot before it', (name) => {
    const { imaList, quoted } = recordedBoot(name);
    const [first] = parseImaList(imaList);
    if (first === undefined) throw new Error('the recorded list is empty');
    const other = recordedBoot(name === 'sb-on' ? 'sb-off' : 'sb-on').quoted;
    const without = new Map([...quoted].filter(([pcr]) => pcr !== 9));

    checkBootAggregate(first, new Map([['sha256', quoted]]));
    expect(bootAggregate('sha256', quoted).toString('hex')).toBe(first.file?.digest);
    expect(() => {
      checkBootAggregate(first, new Map([['sha256', other]]));
    }).toThrow('is not that of the quoted PCRs');
    expect(() => {
      checkBootAggregate(first, new Map([['sha256', without]]));
    }).toThrow('9 was not quoted');
    expect(() => {
      checkBootAggregate(first, new Map([['sha1', quoted]]));
    }).toThrow('0 was not quoted');
  });

  it('does not begin with a boot aggregate that another file names itself', () => {
    const [second] = entries.slice(1);
    if (second === undefined) throw new Error('the recorded list is too short');
    expect(() => {
      checkBootAggregate(second, new Map([['sha256', on.quoted]]));
    }).toThrow('does not begin with');
  });
});

describe('ImaWalk', () => {
  it('continues from any entry that was proven before', () => {
    for (let known = 0; known <= 19; known++) {
      const aggregate = extend(entries.slice(0, known).map((entry) => templateHash(entry, 'sha256')));
      const from = { count: known, aggregate };
      const match = matchImaList(entries.slice(known), { ...options, from });

      expect(match.progress).toEqual({ count: 19, aggregate: pcr10 });
      expect(match.entries.length).toBe(19 - known);
    }
  });

  it('proves nothing new, and accepts that, when nothing was measured since', () => {
    const from = { count: 19, aggregate: pcr10 };

    expect(matchImaList(entries.slice(19), { ...options, from })).toEqual({
      progress: from,
      entries: [],
      files: [],
      violations: 0,
    });
  });

  it('leaves a file called boot_aggregate among the files, unless it is the first entry', () => {
    const list = parseImaList(Buffer.concat([file('boot_aggregate'), file('boot_aggregate')]));
    const quoted = extend(list.map((entry) => templateHash(entry, 'sha256')));

    expect(matchImaList(list, { bank: 'sha256', quoted }).files.map(({ path }) => path)).toEqual([
      'boot_aggregate',
    ]);
  });

  it('refuses a list with an entry dropped, doubled, moved, changed or left out at the end', () => {
    const proven = entries.slice(0, 19);
    for (const [place, entry] of proven.entries()) {
      expect(() => matchImaList(proven.toSpliced(place, 1), options)).toThrow('no beginning');
      const next = proven[place + 1];
      if (next !== undefined) {
        expect(() => matchImaList(proven.toSpliced(place, 0, entry), options)).toThrow('no beginning');
        expect(() => matchImaList(proven.with(place, next).with(place + 1, entry), options)).toThrow(
          'no beginning',
        );
      }
      const violated = { ...entry, file: undefined };
      expect(() => matchImaList(proven.with(place, violated), options)).toThrow('no beginning');
      const changed = { ...entry, templateData: fileData('/bin/other') };
      expect(() => matchImaList(proven.with(place, changed), options)).toThrow('digest does not fit');
    }
  });

  it('refuses a list from which known entries are left out, or to which they are added', () => {
    const from = {
      count: 5,
      aggregate: extend(entries.slice(0, 5).map((entry) => templateHash(entry, 'sha256'))),
    };

    expect(() => matchImaList(entries, { ...options, from })).toThrow('no beginning');
    expect(() => matchImaList(entries.slice(6), { ...options, from })).toThrow('no beginning');
  });

  it('extends ones for a violation, counts it, and believes nothing that its entry says', () => {
    const violation = write({ data: fileData('/bin/good'), templateDigest: Buffer.alloc(20) });
    const list = parseImaList(Buffer.concat([file('/bin/a'), violation, file('/bin/b')]));
    const quoted = extend([
      createHash('sha256').update(fileData('/bin/a')).digest(),
      Buffer.alloc(32, 0xff),
      createHash('sha256').update(fileData('/bin/b')).digest(),
    ]);
    const match = matchImaList(list, { bank: 'sha256', quoted });

    expect(match.violations).toBe(1);
    expect(match.files).toEqual(
      ['/bin/a', '/bin/b'].map((path) => ({
        path,
        algorithm: 'sha256',
        digest: sha256Of(path).toString('hex'),
      })),
    );
  });
});

describe('parseImaList', () => {
  it('reads ima-sig, and shows the same file', () => {
    const data = Buffer.concat([fileData('/bin/a'), field(Buffer.from([3, 2, 4]))]);
    const [entry] = parseImaList(write({ template: 'ima-sig', data }));

    expect(entry?.file?.path).toBe('/bin/a');
  });

  it.each<[string, Buffer]>([
    ['another PCR', write({ pcr: 11, data: fileData('/bin/a') })],
    ['the template of old kernels', write({ template: 'ima', data: fileData('/bin/a') })],
    ['a template that could hide a file', write({ template: 'ima-buf', data: fileData('/bin/a') })],
    ['a template without a name', write({ template: '', data: fileData('/bin/a') })],
    ['a signature in ima-ng', write({ data: Buffer.concat([fileData('/bin/a'), field('x')]) })],
    ['no signature in ima-sig', write({ template: 'ima-sig', data: fileData('/bin/a') })],
    ['no fields', write({ data: Buffer.alloc(0) })],
    ['a path without its end', write({ data: Buffer.concat([digestField('a'), field('/bin/a')]) })],
    ['a path of two', write({ data: Buffer.concat([digestField('a'), field('/bin/a\0/bin/b\0')]) })],
    ['an empty path field', write({ data: Buffer.concat([digestField('a'), field('')]) })],
    ['an endless path', write({ data: Buffer.concat([digestField('a'), field(`${'a'.repeat(4097)}\0`)]) })],
    ['a digest without an algorithm', write({ data: Buffer.concat([field(sha256Of('a')), field('/a\0')]) })],
    ['a short digest', write({ data: Buffer.concat([field('sha256:\0short'), field('/a\0')]) })],
    ['an empty digest', write({ data: Buffer.concat([field('md5:\0'), field('/a\0')]) })],
    ['half an entry', file('/bin/a').subarray(0, 30)],
  ])('refuses %s', (_, raw) => {
    expect(() => parseImaList(Buffer.concat([file('/bin/first'), raw]))).toThrow(
      expect.objectContaining({ reason: 'invalid_argument' }),
    );
  });

  it('is bounded in bytes, in entries and in the size of a field', () => {
    const tiny = write({ data: Buffer.alloc(0), templateDigest: Buffer.alloc(20) });
    const most = Buffer.concat(Array.from({ length: MAXIMUM_IMA_ENTRIES }, () => tiny));

    expect(parseImaList(most).length).toBe(MAXIMUM_IMA_ENTRIES);
    expect(() => parseImaList(Buffer.concat([most, tiny]))).toThrow(`more than ${MAXIMUM_IMA_ENTRIES}`);
    expect(() => parseImaList(Buffer.alloc(MAXIMUM_IMA_LIST_BYTES + 1))).toThrow('expected at most');
    expect(() => parseImaList(write({ data: Buffer.alloc(70_000) }))).toThrow('a field of 70000 bytes');
  });

  it('reads back every path, and survives random bytes', () => {
    const path = fc
      .string({ minLength: 1, maxLength: 200, unit: 'grapheme' })
      .filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(fc.array(path, { maxLength: 10 }), (paths) => {
        const raw = Buffer.concat(paths.map(file));
        expect(parseImaList(raw).map((entry) => entry.file?.path)).toEqual(paths);
      }),
      { numRuns: 100 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseImaList(Buffer.from(bytes));
        } catch (error) {
          expect(hasReason(error, 'invalid_argument')).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
