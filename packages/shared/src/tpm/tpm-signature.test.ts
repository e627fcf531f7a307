import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { pssSignatureThatBeginsWithZero } from '@bonafide/testing/pss-signature';
import { expect, it } from 'vitest';
import { algorithmOf, TPM_ALG } from './algorithm.js';
import type { TpmPublic } from './tpm-public.js';
import { verifyTpmSignature } from './tpm-signature.js';
import { TpmWriter } from './tpm-writer.js';

it('does not take an RSAPSS signature that lost the zero it begins with', () => {
  const { publicKey, privateKey } = makeKeyPair('rsa', { modulusLength: 2048 });
  const { n = '' } = publicKey.export({ format: 'jwk' });
  const signer: TpmPublic = {
    type: 'rsa',
    key: { bits: 2048, exponent: 65_537, modulus: Buffer.from(n, 'base64url') },
    nameAlgorithm: 'sha256',
    attributes: new Set(['restricted', 'sign']),
    authPolicy: Buffer.alloc(0),
    symmetric: undefined,
    scheme: { algorithm: TPM_ALG.rsapss, hash: 'sha256' },
    raw: Buffer.alloc(0),
  };
  const message = Buffer.from('attest');
  const signature = pssSignatureThatBeginsWithZero(privateKey, 'sha256', message);
  const asTpmWrites = (bytes: Buffer): Buffer =>
    new TpmWriter().uint16(TPM_ALG.rsapss).uint16(algorithmOf('sha256')).sized(bytes).build();
  verifyTpmSignature(signer, message, asTpmWrites(signature));
  expect(() => {
    verifyTpmSignature(signer, message, asTpmWrites(signature.subarray(1)));
  }).toThrow('does not verify');
});
