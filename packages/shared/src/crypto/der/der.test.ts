import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../../errors/bonafide-error.js';
import { DerReader, enterOnly } from './der-reader.js';
import { DER_TAG } from './der-tag.js';
import {
  derBitString,
  derElement,
  derObjectIdentifier,
  derSequence,
  derTime,
  derUnsignedInteger,
} from './der-writer.js';
import { encodeOid } from './object-identifier.js';

function reader(hex: string): DerReader {
  return new DerReader(Buffer.from(hex, 'hex'), 'sample');
}

describe('DerReader', () => {
  it.each([
    ['nothing', '', 'is missing'],
    ['a tag alone', '30', 'is missing'],
    ['another tag', '3100', 'unexpected type'],
    ['a length beyond the end', '300100'.slice(0, 4), 'cut short'],
    ['an indefinite length', '30800000', 'bad length'],
    ['a length of four bytes', '308400000000', 'bad length'],
    ['a length that is cut off', '3082', 'bad length'],
    ['the long form for a short length', '30810100', 'non-minimal'],
    ['a leading zero in the length', '3082008000', 'non-minimal'],
  ])('refuses %s', (_name, hex, problem) => {
    expect(() => reader(hex).readContent(DER_TAG.sequence, 'field')).toThrow(problem);
  });

  it.each([
    ['an empty one', '0200'],
    ['a needless zero', '02020001'],
    ['a needless ff', '0202ffff'],
  ])('refuses as an integer %s', (_name, hex) => {
    expect(() => reader(hex).readInteger('field')).toThrow('malformed sample: field');
  });

  it.each([
    ['negative', '0201ff'],
    ['five bytes', '02050100000000'],
  ])('refuses as a small integer one that is %s', (_name, hex) => {
    expect(() => reader(hex).readSmallInteger('field')).toThrow('out of range');
  });

  it.each([
    ['bits left over', '0302010e'],
    ['no content', '0300'],
  ])('refuses as a bit string of whole bytes one with %s', (_name, hex) => {
    expect(() => reader(hex).readBitString('field')).toThrow('not a bit string');
  });

  it.each(['010101', '01020000', '0100'])('refuses %s as a boolean', (hex) => {
    expect(() => reader(hex).readBoolean('field')).toThrow('not a boolean');
  });

  it.each([
    ['UTC', '2030-01-01T00:00:00.000Z'],
    ['the last UTCTime', '2049-12-31T23:59:59.000Z'],
    ['the first GeneralizedTime', '2050-01-01T00:00:00.000Z'],
    ['the end of time', '9999-12-31T23:59:59.000Z'],
    ['a leap day', '2028-02-29T12:00:00.000Z'],
    ['1950', '1950-01-01T00:00:00.000Z'],
  ])('reads the time that was written: %s', (_name, iso) => {
    const time = new Date(iso);
    expect(new DerReader(derTime(time), 'sample').readTime('field')).toEqual(time);
  });

  it.each([
    '300230000000Z',
    '301301000000Z',
    '300100000000Z',
    '300101240000Z',
    '300101006000Z',
    '300101000060Z',
    '3001010000Z',
    '300101000000',
    '300101000000+',
    '30010100000 Z',
    '-00101000000Z',
    '270229000000Z',
  ])('refuses %s as a time', (text) => {
    const bytes = derElement(DER_TAG.utcTime, Buffer.from(text));
    expect(() => new DerReader(bytes, 'sample').readTime('field')).toThrow('malformed sample: field');
  });

  it('refuses bytes after the only element', () => {
    expect(() => enterOnly(Buffer.from('300000', 'hex'), DER_TAG.sequence, 'sample')).toThrow(
      'trailing bytes',
    );
  });

  it('throws nothing but BonafideError, whatever the bytes and whatever is read', () => {
    const reads: ((from: DerReader) => unknown)[] = [
      (from) => from.readAny('field'),
      (from) => from.enter(DER_TAG.sequence, 'field'),
      (from) => from.readInteger('field'),
      (from) => from.readSmallInteger('field'),
      (from) => from.readBoolean('field'),
      (from) => from.readBitString('field'),
      (from) => from.readObjectIdentifier('field'),
      (from) => from.readAscii(DER_TAG.ia5String, 'field'),
      (from) => from.readTime('field'),
    ];
    const tag = fc.constantFrom(...Object.values(DER_TAG), 0x00, 0x1f, 0xa0, 0xff);
    fc.assert(
      fc.property(tag, fc.uint8Array({ maxLength: 40 }), fc.nat(reads.length - 1), (first, rest, index) => {
        try {
          reads[index]?.(new DerReader(Buffer.from([first, ...rest]), 'sample'));
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('derElement', () => {
  it('writes what the reader reads, at every length of length', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(300), fc.integer({ min: 65_500, max: 65_600 })), (length) => {
        const content = Buffer.alloc(length, 7);
        const from = new DerReader(derElement(DER_TAG.octetString, content), 'sample');
        expect(from.readContent(DER_TAG.octetString, 'field').equals(content)).toBe(true);
        expect(from.isAtEnd()).toBe(true);
      }),
    );
  });

  it('keeps the order of its parts', () => {
    expect(derSequence(Buffer.from([1]), Buffer.from([2, 3])).toString('hex')).toBe('3003010203');
  });

  it('refuses what no reader would take', () => {
    expect(() => derElement(DER_TAG.octetString, Buffer.alloc(0x1000000))).toThrow(RangeError);
    expect(() => derTime(new Date('1949-12-31T23:59:59Z'))).toThrow(RangeError);
    expect(() => derObjectIdentifier('x.y')).toThrow(RangeError);
  });
});

describe('derUnsignedInteger', () => {
  it('is positive and minimal for any magnitude', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (magnitude) => {
        const content = new DerReader(derUnsignedInteger(Buffer.from(magnitude)), 'sample').readInteger(
          'field',
        );
        expect((content[0] ?? 0) & 0x80).toBe(0);
        expect(BigInt(`0x${content.toString('hex')}`)).toBe(
          BigInt(`0x0${Buffer.from(magnitude).toString('hex')}`),
        );
      }),
    );
  });
});

describe('object identifiers', () => {
  it.each([
    ['1.2.840.10045.4.3.2', '06082a8648ce3d040302'],
    ['2.5.29.17', '0603551d11'],
    ['1.2.840.113549.1.1.11', '06092a864886f70d01010b'],
    ['2.999.3', '0603883703'],
  ])('encodes %s', (dotted, hex) => {
    expect(derObjectIdentifier(dotted).toString('hex')).toBe(hex);
    const content = new DerReader(Buffer.from(hex, 'hex'), 'sample').readObjectIdentifier('field');
    expect(encodeOid(content).toString('hex')).toBe(hex);
  });
});

it('derBitString writes whole bytes', () => {
  expect(derBitString(Buffer.from([5])).toString('hex')).toBe('03020005');
});
