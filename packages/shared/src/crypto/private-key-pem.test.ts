import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { parsePrivateKeyPem } from './private-key-pem.js';

const ec = makeKeyPair('ec', { namedCurve: 'P-384' }).privateKey;
const rsa = makeKeyPair('rsa', { modulusLength: 2048 }).privateKey;
const pkcs8 = String(ec.export({ format: 'pem', type: 'pkcs8' }));
const sec1 = String(ec.export({ format: 'pem', type: 'sec1' }));
const pkcs1 = String(rsa.export({ format: 'pem', type: 'pkcs1' }));
const parameters = '-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n';

describe('a private key in PEM', () => {
  it.each([
    ['PKCS#8', pkcs8, ec],
    ['SEC 1', sec1, ec],
    ['SEC 1 after its parameters', parameters + sec1, ec],
    ['PKCS#1', pkcs1, rsa],
    ['text around it', `issued for tests\n${pkcs8}\nand no more\n`, ec],
  ])('is read from %s', (_form, text, key) => {
    expect(parsePrivateKeyPem(text).equals(key)).toBe(true);
  });

  it.each([
    ['nothing', '', 'no private key'],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'no private key'],
    ['two keys', pkcs8 + pkcs8, 'more than one'],
    ['a key of one form under the label of another', pkcs1.replaceAll('RSA ', 'EC '), 'malformed'],
    [
      'an encrypted key',
      String(ec.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' })),
      'encrypted',
    ],
    [
      'an encrypted key of the old kind',
      String(rsa.export({ format: 'pem', type: 'pkcs1', cipher: 'aes-256-cbc', passphrase: 'x' })),
      'encrypted',
    ],
  ])('is not %s', (_name, text, problem) => {
    expect(() => parsePrivateKeyPem(text)).toThrow(problem);
  });

  it('throws nothing but BonafideError, whatever the text, and never quotes it', () => {
    fc.assert(
      fc.property(fc.nat(pkcs8.length - 1), fc.string({ maxLength: 3 }), (at, change) => {
        const text = pkcs8.slice(0, at) + change + pkcs8.slice(at + 1);
        try {
          parsePrivateKeyPem(text);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
          for (const line of pkcs8.split('\n').slice(1, 4)) expect(String(error)).not.toContain(line);
        }
      }),
    );
  });
});
