/** The examples of draft-ietf-wimse-http-signature-06: we build the very text that they sign, and our own digest. */
import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { contentDigest } from './content-digest.js';
import { requiredComponents } from './covered-components.js';
import { fieldLines, type SignedMessage } from './http-message.js';
import { signatureBase } from './signature-base.js';
import { parseDictionary, serializeItem } from './structured-field.js';

const target = '/gimme-ice-cream?flavor=vanilla';

const REQUEST_HEADERS = {
  signature:
    'wimse=:zSK+kx5EnoZct9FZ6LMYzfx0mk32oI/hHpB7y4rgHxkRDcAA72yBW5xgzA03nKviXLjL7nphq840Uwznp6IKAw==:',
  'signature-input':
    'wimse=("@method" "@request-target" "workload-identity-token");created=1785155797;expires=1785156097;nonce="abcd1111";tag="wimse-workload-to-workload";wimse-aud="https://svcb.example.com/gimme-ice-cream";wimse-sign-response',
  'workload-identity-token':
    'eyJhbGciOiJFZERTQSIsImtpZCI6Imlzc3Vlci1rZXkiLCJ0eXAiOiJ3aXQrand0In0.eyJjbmYiOnsiandrIjp7ImFsZyI6IkVkRFNBIiwiY3J2IjoiRWQyNTUxOSIsImtpZCI6InN2Yy1hLWtleSIsImt0eSI6Ik9LUCIsIngiOiJaamxWVDRDT3NDa1FPOUhJbzZ0RFdBWGF5UTBNeW1vRlVLSlJJUTdTOFI4In19LCJleHAiOjE3ODUxNTYwOTcsImlhdCI6MTc4NTE1NTc5NywiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9pc3N1ZXIiLCJqdGkiOiJ3aXQtMTc4NTE1NTc5NzIxNjU0NTcxOSIsInN1YiI6IndpbXNlOi8vZXhhbXBsZS5jb20vc3ZjQSJ9.BqJfcsbrYlS9GSQ7NpFBBVz4CeszShqleIyr2sSnd0Ic6l2HXX27giZcdAOGnXjtv_7h-9vV16GZbVcrQt6hCg',
};

const RESPONSE_HEADERS = {
  'content-digest': 'sha-256=:UHKweBl9cpjdVqgTB65El8SexXlJYGG+XIslAYqC1mY=:',
  'content-type': 'text/plain',
  signature:
    'wimse=:57ZChndLoz5toS+/0RGeQJG53gLrZD/bBterOWnHF1vb0cdceeUOKH/t4A+/bvquC/0VCb5DYFRdFNz4CW8yBQ==:',
  'signature-input':
    'wimse=("@status" "workload-identity-token" "content-type" "content-digest" "@method";req "@request-target";req);created=1785155797;expires=1785156099;nonce="abcd2222";tag="wimse-workload-to-workload";wimse-req-nonce="abcd1111"',
  'workload-identity-token':
    'eyJhbGciOiJFZERTQSIsImtpZCI6Imlzc3Vlci1rZXkiLCJ0eXAiOiJ3aXQrand0In0.eyJjbmYiOnsiandrIjp7ImFsZyI6IkVkRFNBIiwiY3J2IjoiRWQyNTUxOSIsImtpZCI6InN2Yy1iLWtleSIsImt0eSI6Ik9LUCIsIngiOiJsQnRMUzhjTnRfN3BXc2RpMnhneDc2MGxXcHpFdnFZZTJEcFNrOUVMSDJ3In19LCJleHAiOjE3ODUxNTYwOTksImlhdCI6MTc4NTE1NTc5OSwiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9pc3N1ZXIiLCJqdGkiOiJ3aXQtMTc4NTE1NTc5NzIxNjY3MDUxOCIsInN1YiI6IndpbXNlOi8vZXhhbXBsZS5jb20vc3ZjQiJ9.HIAU2288ryXoym1M9fnKZqd0p2Vl7spOh-FY2jCFY-05H74-WPUFWrg5lH5f2rHl47TfxEGri3fmMP4zhYzeAw',
};

function check(message: SignedMessage, headers: typeof REQUEST_HEADERS, x: string): void {
  const input = parseDictionary(headers['signature-input'], 'Signature-Input').get('wimse');
  const signature = parseDictionary(headers.signature, 'Signature').get('wimse');
  if (input === undefined || !('items' in input) || signature === undefined || !('value' in signature)) {
    expect.fail('the example has another form');
  }
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  expect(verify(null, signatureBase(message, input), key, signature.value as Buffer)).toBe(true);
  const covered = input.items.map(serializeItem);
  expect([...covered].sort()).toEqual(requiredComponents(message).map(serializeItem).sort());
}

describe('the examples of the draft', () => {
  it('request: the signature fits the text that we build, and covers what we require', () => {
    const message = { method: 'GET', target, fields: fieldLines(REQUEST_HEADERS) };
    check(message, REQUEST_HEADERS, 'ZjlVT4COsCkQO9HIo6tDWAXayQ0MymoFUKJRIQ7S8R8');
  });

  it('response: the signature fits the text that we build, and the digest is ours', () => {
    const message = { status: 404, fields: fieldLines(RESPONSE_HEADERS), request: { method: 'GET', target } };
    check(message, RESPONSE_HEADERS, 'lBtLS8cNt_7pWsdi2xgx760lWpzEvqYe2DpSk9ELH2w');
    expect(contentDigest(Buffer.from('No ice cream today.\n\n'))).toBe(RESPONSE_HEADERS['content-digest']);
  });
});
