import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { pssSignatureThatBeginsWithZero } from '@bonafide/testing/pss-signature';
import { describe, expect, it } from 'vitest';
import { isPossessionProven, provePossession } from './possession-proof.js';

const data = Buffer.from('what both sides chose');

describe.each([
  ['RSA', makeKeyPair('rsa', { modulusLength: 2048 })],
  ['P-256', makeKeyPair('ec', { namedCurve: 'P-256' })],
  ['P-384', makeKeyPair('ec', { namedCurve: 'P-384' })],
  ['P-521', makeKeyPair('ec', { namedCurve: 'P-521' })],
])('with a key of %s', (_name, { publicKey, privateKey }) => {
  const proof = provePossession(privateKey, data);

  it('possession is proven for what was chosen, and for nothing else', () => {
    expect(isPossessionProven(publicKey, data, proof)).toBe(true);
    expect(isPossessionProven(publicKey, Buffer.from('something else'), proof)).toBe(false);
  });

  it('a proof of another kind proves nothing', () => {
    const other =
      proof.kind === 'rsa'
        ? ({ kind: 'ec', r: proof.signature, s: proof.signature } as const)
        : ({ kind: 'rsa', signature: Buffer.concat([proof.r, proof.s]) } as const);
    expect(isPossessionProven(publicKey, data, other)).toBe(false);
  });
});

it('an RSA signature that lost the zero it begins with proves nothing', () => {
  const { publicKey, privateKey } = makeKeyPair('rsa', { modulusLength: 2048 });
  const signature = pssSignatureThatBeginsWithZero(privateKey, 'sha256', data);
  expect(isPossessionProven(publicKey, data, { kind: 'rsa', signature })).toBe(true);
  expect(isPossessionProven(publicKey, data, { kind: 'rsa', signature: signature.subarray(1) })).toBe(false);
});
