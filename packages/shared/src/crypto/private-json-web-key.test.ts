import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey } from './generate-key.js';
import { formatPrivateJwk, parsePrivateJwk } from './private-json-web-key.js';

function faultOf(text: string): unknown {
  try {
    return parsePrivateJwk(text);
  } catch (error) {
    return error;
  }
}

describe('a private JWK', () => {
  it.each([
    ['ec-p256', 'ES256'],
    ['ec-p384', 'ES384'],
    ['rsa-2048', 'RS256'],
  ] as const)('of %s is read as it was written', async (keyType, algorithm) => {
    const key = await generatePrivateKey(keyType);
    const text = formatPrivateJwk(key, algorithm);
    expect(JSON.parse(text)).toMatchObject({ alg: algorithm });
    expect(parsePrivateJwk(text).equals(key)).toBe(true);
  });

  it.each([
    ['is not JSON', '{"kty":"EC","d":VERYSECRET}'],
    ['ends too early', '{"kty":"EC","d":"VERYSECRET'],
    ['has a member twice', '{"kty":"EC","VERYSECRET":1,"VERYSECRET":2}'],
    ['has malformed numbers', '{"kty":"EC","crv":"P-256","x":"A","y":"A","d":"VERYSECRET"}'],
    ['is of another type', '{"kty":"oct","k":"VERYSECRET"}'],
    ['is public', '{"kty":"EC","crv":"P-256","x":"VERYSECRET","y":"A"}'],
    ['is no object', '["VERYSECRET"]'],
  ])('that %s is refused, and nothing of it is in the error or its cause', (_name, text) => {
    const fault = faultOf(text);
    expect(fault).toMatchObject({ reason: 'invalid_argument' });
    expect(inspect(fault, { depth: 10 })).not.toContain('SECRET');
  });
});
