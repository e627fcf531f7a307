import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitCertificates } from './certificate-sequence.js';
import { derSequence } from './der/der-writer.js';

const element = fc.uint8Array({ maxLength: 300 }).map((content) => derSequence(Buffer.from(content)));

describe('splitCertificates', () => {
  it('gives back each of what was put together', () => {
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 5 }), (certificates) => {
        expect(splitCertificates(Buffer.concat(certificates), 'bundle')).toEqual(certificates);
      }),
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'bundle is empty'],
    ['something else', Buffer.from([0x02, 0x01, 0x05]), 'bundle'],
    ['a certificate cut short', Buffer.from([0x30, 0x02, 0x05]), 'bundle'],
    ['a byte after the last', Buffer.from([0x30, 0x00, 0x00]), 'bundle'],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => splitCertificates(bytes, 'bundle')).toThrow(message);
  });
});
