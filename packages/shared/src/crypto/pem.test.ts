import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { decodePem, encodePem } from './pem.js';

describe('decodePem', () => {
  it('reads what encodePem writes, one or many', () => {
    const der = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(
        fc.array(der, { minLength: 1, maxLength: 4 }),
        fc.constantFrom('\n', '\r\n'),
        (blocks, newline) => {
          const text = blocks.map((block) => encodePem('CERTIFICATE', Buffer.from(block))).join('');
          const decoded = decodePem('CERTIFICATE', text.replaceAll('\n', newline));
          expect(decoded.map((block) => [...block])).toEqual(blocks.map((block) => [...block]));
        },
      ),
    );
  });

  it('skips explanatory text between blocks', () => {
    const block = encodePem('CERTIFICATE', Buffer.from('abc'));
    expect(decodePem('CERTIFICATE', `# the root\n${block}\nand another\n${block}`)).toHaveLength(2);
  });

  const good = encodePem('CERTIFICATE', Buffer.from('abc'));
  it.each([
    ['no block', 'hello', 'no PEM block'],
    ['nothing', '', 'no PEM block'],
    ['another label', good.replaceAll('CERTIFICATE', 'PRIVATE KEY'), '"PRIVATE KEY" where "CERTIFICATE"'],
    ['no end', good.slice(0, good.indexOf('-----END')), 'no END'],
    ['no begin', good.slice(good.indexOf('\n') + 1), 'no BEGIN'],
    ['a block in a block', good.replace('YWJj', '-----BEGIN CERTIFICATE-----\nYWJj'), 'no END'],
    ['an odd line of dashes', `-----BEGIN\n${good}`, 'a line of dashes'],
    ['an empty block', good.replace('YWJj\n', ''), 'not base64'],
    ['other characters', good.replace('YWJj', 'YW!j'), 'not base64'],
    ['base64url', good.replace('YWJj', '_-__'), 'not base64'],
    ['lost padding', good.replace('YWJj', 'YWI'), 'not base64'],
    ['loose bits', good.replace('YWJj', 'YWJ='), 'not base64'],
    ['headers inside', good.replace('YWJj', 'Proc-Type: 4,ENCRYPTED\n\nYWJj'), 'not base64'],
  ])('refuses %s', (_name, text, problem) => {
    expect(() => decodePem('CERTIFICATE', text)).toThrow(problem);
  });

  it('throws nothing but BonafideError', () => {
    const piece = fc.constantFrom(
      '-----BEGIN CERTIFICATE-----',
      '-----END CERTIFICATE-----',
      '\n',
      'YWJj',
      '-----',
      '=',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }), (pieces) => {
        try {
          decodePem('CERTIFICATE', pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
    );
  });
});
