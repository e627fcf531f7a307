import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCaJournal, parseJournalPem } from './ca-journal.js';
import { ProtobufFields } from './protobuf-fields.js';
import { serialNumberFromDecimal } from './read-nodes.js';
import { createSampleAuthorities, encodeProtobuf } from './spire-database-samples.js';
import { parseStoredBundle } from './stored-bundle.js';
import { timeIn } from './spire-values.js';

const TRUST_DOMAIN = parseTrustDomain('example.org');

/** Whatever is thrown is a refusal in words. */
function refusesOrReads(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
  }
}

describe('a protobuf message', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.uint8Array(), (text, number, bytes) => {
        const data = encodeProtobuf([
          [1, text],
          [2, number],
          [300, Buffer.from(bytes)],
        ]);
        const fields = new ProtobufFields(data, 'sample');
        expect([fields.text(1), fields.count(2), fields.bytes(300)]).toEqual([
          text,
          number,
          Buffer.from(bytes),
        ]);
      }),
    );
  });

  it.each([
    ['a field that is cut off', '0a05'],
    ['a number without an end', '08ffffffffffffffffffff01'],
    ['field number 0', '0001'],
    ['a group', '0b0c'],
    ['a length beyond the end', '0affffffff0f'],
  ])('with %s is refused', (_what, hex) => {
    expect(() => new ProtobufFields(Buffer.from(hex, 'hex'), 'sample')).toThrow(
      'is cut off or is no protobuf',
    );
  });

  it('of random bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        refusesOrReads(() => parseStoredBundle(Buffer.from(bytes), TRUST_DOMAIN));
        refusesOrReads(() => parseCaJournal(Buffer.from(bytes)));
      }),
    );
  });

  it('that was damaged anywhere is read or refused', async () => {
    const { bundle, journal } = await createSampleAuthorities(new Date());
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), (place, byte) => {
        for (const [data, read] of [
          [bundle, (bytes: Buffer) => parseStoredBundle(bytes, TRUST_DOMAIN)],
          [journal, parseCaJournal],
        ] as const) {
          const damaged = Buffer.from(data);
          damaged[place % damaged.length] = byte;
          refusesOrReads(() => read(damaged));
          refusesOrReads(() => read(damaged.subarray(0, place % damaged.length)));
        }
      }),
    );
  });
});

describe('a CA journal of an old release', () => {
  it('is a PEM file whose entries have no status: the older of two slots signs', async () => {
    const { certificate } = await createSampleAuthorities(new Date());
    const x509 = (slot: string, issuedAt: number) =>
      [
        1,
        [
          [1, slot],
          [2, issuedAt],
          [3, certificate],
        ],
      ] as const;
    const data = encodeProtobuf([x509('A', 100), x509('B', 200), x509('A', 300)]);
    const { authorities } = parseJournalPem(encodePem('SPIRE CA JOURNAL', data));
    expect(authorities.map(({ keyId, slot }) => [keyId, slot])).toEqual([
      ['x509-CA-A', 'old'],
      ['x509-CA-B', 'active'],
      ['x509-CA-A', 'prepared'],
    ]);
  });

  it('is refused under another label', () => {
    expect(() => parseJournalPem(encodePem('CERTIFICATE', Buffer.from('x')))).toThrow('SPIRE CA JOURNAL');
  });
});

describe('a serial number', () => {
  it.each([
    ['1', '01'],
    ['255', 'ff'],
    ['256', '0100'],
    ['1461501637330902918203684832716283019655932542975', 'f'.repeat(40)],
  ])('%s in decimal is %s', (decimal, hex) => {
    expect(serialNumberFromDecimal(decimal)).toBe(hex);
  });

  it.each(['-1', '0x1', '1.5', ' 1', '9'.repeat(60)])('%j is refused', (text) => {
    expect(() => serialNumberFromDecimal(text)).toThrow('serial number');
  });
});

describe('a time in SQLite', () => {
  it.each([
    ['2026-11-22 19:41:30.123456789+00:00', '2026-11-22T19:41:30.123Z'],
    ['2026-11-22 19:41:30+02:00', '2026-11-22T17:41:30.000Z'],
    ['2026-11-22T19:41:30Z', '2026-11-22T19:41:30.000Z'],
    ['0001-01-01 00:00:00+00:00', undefined],
    [null, undefined],
  ])('%j is %j', (text, expected) => {
    expect(timeIn({ at: text }, 'at')?.toISOString()).toBe(expected);
  });

  it.each(['soon', '2026-13-01 00:00:00+00:00', 7])('%j is refused', (value) => {
    expect(() => timeIn({ at: value }, 'at')).toThrow('is not a time');
  });
});
