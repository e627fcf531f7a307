import { describe, expect, it } from 'vitest';
import { encodeCompactJws, encodeTokenPart, parseCompactJws, parseTokenPart } from './compact-jws.js';

const sign = (): Promise<Buffer> => Promise.resolve(Buffer.from('signature'));
const header = { alg: 'ES256', kid: 'schlüssel' };
const payload = { sub: 'spiffe://example.org/web', exp: 1 };

describe('a compact JWS', () => {
  it('reads back as what was written', async () => {
    const token = await encodeCompactJws(header, payload, sign);
    const parsed = parseCompactJws(token);
    expect(parsed.header).toEqual(header);
    expect(parsed.payload).toEqual(payload);
    expect(parsed.signature.toString()).toBe('signature');
    expect(parsed.signingInput.toString()).toBe(token.slice(0, token.lastIndexOf('.')));
    expect(parseTokenPart(encodeTokenPart(payload), 'payload')).toEqual(payload);
  });

  // RFC 7515 appendix A.3
  const token =
    'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ' +
    '.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q';
  const [first = '', second = '', third = ''] = token.split('.');

  it('is read as in RFC 7515', () => {
    expect(parseCompactJws(token).payload).toEqual({
      iss: 'joe',
      exp: 1300819380,
      'http://example.com/is_root': true,
    });
  });

  const looseBits = `${first}.${second}.${third.slice(0, -1)}R`;
  it.each([
    ['nothing', '', 'three parts'],
    ['one part', first, 'three parts'],
    ['two parts', `${first}.${second}`, 'three parts'],
    ['four parts', `${token}.`, 'three parts'],
    ['five parts, as an encrypted token has', `${first}.a.b.c.d`, 'three parts'],
    ['dots alone', '.'.repeat(65_536), 'three parts'],
    ['no header', `.${second}.${third}`, 'the header of the token is not base64url'],
    ['no payload', `${first}..${third}`, 'the payload of the token is not base64url'],
    ['no signature', `${first}.${second}.`, 'the signature of the token is not base64url'],
    ['padding', `${first}.${second}.${third}==`, 'the signature of the token is not base64url'],
    ['loose bits', looseBits, 'the signature of the token is not base64url'],
    ['a single last character', `${first}.${second}.${third}AAA`, 'not base64url'],
    ['the other alphabet', token.replace('-', '+'), 'not base64url'],
    ['a line feed at the end', `${token}\n`, 'not base64url'],
    ['a space in front', ` ${token}`, 'the header of the token is not base64url'],
    ['a zero byte', `${first}.${second}\0.${third}`, 'not base64url'],
    ['a letter outside ASCII', `${first}.${second}ä.${third}`, 'not base64url'],
    ['the JSON serialization', JSON.stringify({ payload: second, signature: third }), 'three parts'],
    ['a header that is no JSON', `AAAA.${second}.${third}`, 'the token header is not JSON'],
    ['a payload that is an array', `${first}.W10.${third}`, 'the token payload is not a JSON object'],
    ['more than 64 KiB', `${first}.${'A'.repeat(65_536)}.${third}`, 'more than 65536 characters'],
  ])('is refused with %s', (_name, text, problem) => {
    expect(() => parseCompactJws(text)).toThrow(problem);
  });

  it.each(['', '.', `${first}.${second}`, `${first}=`, 'ä'])('has no part %j', (text) => {
    expect(() => parseTokenPart(text, 'header')).toThrow('the header of the token is not base64url');
  });
});
